"""What evaluation of image classifiers needs."""
