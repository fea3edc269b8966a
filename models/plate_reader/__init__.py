"""Training, export and evaluation of the plate reader."""
