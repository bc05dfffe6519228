"""Tests that take minutes: `make soak`, or `python -m pytest tests/soak`. The ordinary tests leave this folder out."""
