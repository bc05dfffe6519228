"""Ablations: the grids of ablations.yaml, and DVC's queue, through which their values go; what `make sweep` needs, too."""
