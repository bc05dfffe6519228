"""Training on sequences: batches and layers."""
