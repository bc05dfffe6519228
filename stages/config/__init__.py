"""params.yaml, read and checked. Results depend only on its values, which dvc.yaml lists as params."""
