"""Ablations: the grids of ablations.yaml, and DVC's experiment queue, which `make sweep` also uses."""
