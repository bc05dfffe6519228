"""Plots, summaries and files that several stages write."""
