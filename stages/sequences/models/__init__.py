"""A file a network; each exports `Model`. sequences/settings.py has a class with the keyword-only arguments of each."""
