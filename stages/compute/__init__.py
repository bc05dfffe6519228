"""Device, precision and processes of a run."""
