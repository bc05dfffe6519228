"""Benchmarks that compare the project's speed with the usual way, side by side; `make bench` runs them all."""
