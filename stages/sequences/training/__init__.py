"""What training on sequences needs."""
