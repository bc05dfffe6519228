"""Benchmarks on a GPU, with the project's own batches, loop and networks.

`make bench-gpu` runs them in under ten minutes on one H200, without a network. The data are synthetic, of the real sizes,
except data/features/cifar10 if it is there.
"""
