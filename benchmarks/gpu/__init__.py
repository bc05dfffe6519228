"""What a GPU makes of the project: each claim measured through the project's own batches, loop and networks.

`make bench-gpu` runs all of it in under ten minutes on one H200. It needs no network, and no file but, where there is one,
data/features/cifar10: everything else is made up, of the real sizes.
"""
