"""What normalize needs for sequences."""
