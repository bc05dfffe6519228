"""A file a network; each exports `Model`. images/settings.py has a class with the keyword-only arguments of each.

`embed(x)` gives an image's features (N, D), with D in `num_features`; `forward(x)` is `head(embed(x))`, the logits (N, K).
"""
