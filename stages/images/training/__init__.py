"""What training on images needs."""
