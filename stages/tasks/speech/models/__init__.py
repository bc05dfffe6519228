"""A file a network; each exports `Model`, whose keyword-only arguments are the keys under `model` in params.yaml."""
