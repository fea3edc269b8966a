"""Synthetic European licence plates: drawn (``draw``), then photographed (``render``)."""
