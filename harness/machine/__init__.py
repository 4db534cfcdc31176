"""This machine and this process on it: hardware, clock, seeding, FLOPs, signs of life, the end."""
