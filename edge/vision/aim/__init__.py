"""Setup mode's camera: shows a technician where the camera looks, and nobody who is in front of it.

It has the camera and no network. Faces, plates and privacy zones are blanked first; only then is a picture encoded,
small, and handed to the page's process over a Unix socket (``edge.aiming``). It is the one exception to the rule that
pictures stay in the camera's process; it exists only until the camera is sealed, and the audit log says when.
"""
