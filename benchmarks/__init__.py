"""Claims about speed, each measured side by side with the usual way, in one run; `make bench` runs them all."""
