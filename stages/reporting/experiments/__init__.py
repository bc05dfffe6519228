"""The page that compares DVC's experiments with one another and with the commits that they start from."""
