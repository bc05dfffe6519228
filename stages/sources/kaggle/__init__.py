"""Kaggle: its client, downloads, submissions."""
