"""The face detector: where it comes from and how well it works."""
