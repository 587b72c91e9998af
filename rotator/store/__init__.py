"""A path, its lock, its stamp, 0600, whole-file replacement. Refuses: to know what the bytes mean."""
