"""Building blocks shared by the built-in models: networks and numerics, no models."""
