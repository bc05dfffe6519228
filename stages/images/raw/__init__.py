"""Decoding, checking and packing of raw images, for `normalize`."""
