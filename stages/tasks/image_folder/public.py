"""There are no public archives: the images are the user's own."""

PUBLIC: dict[str, tuple[str, str]] = {}
