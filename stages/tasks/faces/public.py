"""There are no public archives: VGGFace2, which includes the competition's images, was withdrawn."""

PUBLIC: dict[str, tuple[str, str]] = {}
