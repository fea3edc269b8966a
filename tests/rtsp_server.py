"""A real RTSP server for tests, on GStreamer's own library. Runs under the system's Python, which has its bindings.

``/usr/bin/python3 rtsp_server.py PORT USER PASSWORD`` prints the port it serves ``/camera`` on, to this user alone, and
serves until it is killed. The picture is a ball that moves, H.264, 15 frames a second.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 config-interval=1 )"
)


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    port, user, password = sys.argv[1:]
    server.set_service(port)
    guard = GstRtspServer.RTSPAuth()
    guard.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    guard.add_digest(user, password, token)
    server.set_auth(guard)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE)
    allowed = GstRtspServer.RTSPPermissions()
    allowed.add_permission_for_role("viewer", "media.factory.access", True)
    allowed.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(allowed)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
