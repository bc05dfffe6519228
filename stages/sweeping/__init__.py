"""Sweeps: the spaces of sweeps.yaml, Optuna's record of the trials, and each trial in a clone of its own."""
