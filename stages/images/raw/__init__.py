"""What normalize needs for images."""
