"""Sweeps: the spaces of sweeps.yaml, Optuna's record, and trials in clones of the project."""
