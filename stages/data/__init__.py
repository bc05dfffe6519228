"""Files: raw archives, packed arrays, tables, checkpoints."""
