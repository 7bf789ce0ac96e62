"""A real RTSP server for tests; run by the Python that has GStreamer's bindings: PORT [USER PASSWORD].

Prints `ready`. The stream at /camera is H.264, 320 x 240, 25 frames per second, with a key frame every second. The
image is white during the first half of each second of the clock and black during the second half.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - after the versions


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(
        "( videotestsrc is-live=true pattern=white ! video/x-raw,width=320,height=240,framerate=25/1"
        " ! videobalance name=balance ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25"
        " ! rtph264pay name=pay0 config-interval=1 )"
    )
    factory.connect("media-configure", follow_clock)
    if len(sys.argv) > 2:
        demand_password(server, factory, *sys.argv[2:4])
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)
    print("ready", flush=True)  # noqa: T201
    GLib.MainLoop().run()


def follow_clock(_factory: object, media: "GstRtspServer.RTSPMedia") -> None:
    balance = media.get_element().get_by_name("balance")

    def before_frame(*_: object) -> "Gst.PadProbeReturn":
        balance.set_property("brightness", 0.0 if time.time() % 1 < 0.5 else -1.0)
        return Gst.PadProbeReturn.OK

    balance.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, before_frame)


def demand_password(
    server: "GstRtspServer.RTSPServer", factory: "GstRtspServer.RTSPMediaFactory", user: str, password: str
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


main()
