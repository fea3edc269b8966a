"""The uplink process: takes sealed reports from vision, keeps them safe, brings them to the broker.

It has the network and no camera, and never sees inside what it carries: no codec, no grant, no image
library is imported here.
"""
