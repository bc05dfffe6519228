"""Code that all tasks on sequences share."""
