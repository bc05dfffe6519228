"""Sources of raw data that all tasks share, and Kaggle submissions. The source `sample` belongs to each task."""
