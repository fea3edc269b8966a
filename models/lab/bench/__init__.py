"""``make bench``: how fast and how large the camera is, beside other programs on the same pictures in the same run."""

import edge.vision  # noqa: F401 - before numpy, as on a camera
