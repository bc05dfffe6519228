"""What several stages show: pictures, summaries, submission files."""
