"""Evaluation on files, for a developer's machine. Not part of a camera image: pictures are opened and drawn here."""
