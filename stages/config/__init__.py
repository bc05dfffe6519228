"""params.yaml, read and checked. No result depends on it but by the values, which are declared as params."""
