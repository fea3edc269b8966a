"""Training, export and evaluation of the plate detector. Nothing here runs on a camera."""
