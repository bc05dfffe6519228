"""The page that compares DVC's experiments with one another and with their base commits."""
