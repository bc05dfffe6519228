"""What everybody can download: nothing. The images are the user's own."""

PUBLIC: dict[str, tuple[str, str]] = {}
