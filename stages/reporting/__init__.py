"""The report, a page about all runs made from metrics/, and the page of experiments."""
