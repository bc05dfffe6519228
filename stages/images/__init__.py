"""Code that all image tasks share."""
