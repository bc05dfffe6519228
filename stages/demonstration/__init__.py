"""What the page of `make demo` shows beside the networks' answers: files to try, and pictures."""
