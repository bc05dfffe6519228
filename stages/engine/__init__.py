"""What every task shares, and nothing that knows a task."""
