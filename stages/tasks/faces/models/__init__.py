"""A file a network; each exports `Model`, whose keyword-only arguments are the keys under `model` in params.yaml.

`embed(x)` gives an image's features (N, D), with D in `num_features`; `forward(x)` is `head(embed(x))`, the logits (N, K).
"""
