"""CIFAR-10: 60,000 images of 32x32 pixels in ten classes (Krizhevsky 2009)."""

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
HEADER = ["id", "label"]  # of Kaggle's submission file
