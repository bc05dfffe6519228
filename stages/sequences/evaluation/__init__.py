"""Evaluation on sequences."""
