"""Public archives: URL and checksum."""

PUBLIC = {
    "cifar-10-python": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
}
