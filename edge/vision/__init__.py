"""The process that has the camera and no network. Start reading at ``pipeline.py``."""
