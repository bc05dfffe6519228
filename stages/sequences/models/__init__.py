"""Networks, one per file; each file exports `Model`, and sequences/settings.py has a class with its keyword arguments."""
