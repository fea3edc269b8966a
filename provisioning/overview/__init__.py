"""``vidik provision fleet``: how every camera of a deployment is, from what it has left, retained, at the broker.

``said`` reads their statements, ``judge`` makes a line of each camera, ``watch`` hears them at the broker, ``board``
shows the lines. Only the card and the certificate are signed: all else is information, for maintenance.
"""
