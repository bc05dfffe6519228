"""Errors, paths, checksums and locks, which every room uses. No result depends on them."""
