"""What every room uses: errors, paths, checksums, locks. No result depends on it."""
