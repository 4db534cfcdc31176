"""What is measured of a model: samples and their scores, likelihood, speed, pictures."""
