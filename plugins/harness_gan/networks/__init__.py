"""Pairs of generator and discriminator, under whatever loss they play."""
