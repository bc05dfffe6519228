"""Where raw data come from. `sample` is each task's own; here are the sources that every task shares."""
