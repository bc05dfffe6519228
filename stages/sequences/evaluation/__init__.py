"""What evaluation of sequences needs."""
