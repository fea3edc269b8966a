"""The setup page: what a technician's phone shows while a camera is being put up, and never afterwards.

It runs only while the camera is not sealed, for fifteen minutes at a time, on the local link alone, over TLS, behind
the code on the camera's label. It has no camera: what it shows comes masked and encoded from ``edge.vision.aim``.
"""
