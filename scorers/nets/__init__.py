"""Networks that no well-kept permissive library carries, and how the others are read from disk."""
