"""Training on images: batches, augmentation, loss and score."""
