"""Normalisation of sequences, for `normalize`."""
