"""Example files and plots for the page of `make demo`."""
