"""Networks, one per file; each file exports `Model`, and images/settings.py has a class with its keyword arguments.

`embed(x)` returns features (N, D), with D in `num_features`; `forward(x)` is `head(embed(x))`, the logits (N, K).
"""
