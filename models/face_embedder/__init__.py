"""The face embedder: where it comes from and how well it works."""
