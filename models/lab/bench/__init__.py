"""``make bench``: how fast and how large the camera is, beside other programs on the same pictures in the same run."""
