"""The report: a page about all runs, made from what the other stages left in metrics/, for people without DVC at hand."""
