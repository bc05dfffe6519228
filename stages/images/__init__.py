"""What all tasks on images share."""
