"""The camera link: fetches a network camera's video for the vision process, which has no network.

It passes encoded video from one address into one socket, and nothing the other way. It decodes nothing, keeps nothing
and knows nothing of reports, grants or keys.
"""
