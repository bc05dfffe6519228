"""What everybody can download: nothing. VGGFace2, of which the competition's images are a part, was withdrawn."""

PUBLIC: dict[str, tuple[str, str]] = {}
