"""A time server for machines: answers SNTP (RFC 4330) with this machine's time, on the loopback address."""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time

PORT = 123
_SINCE_1900 = 2_208_988_800
# where a unit asks, until a network names another server: the test's, before timesyncd starts
ASK_US = {
    "systemd-timesyncd.service": "[Service]\nExecStartPre=+/bin/sh -c 'mkdir -p /run/systemd/timesyncd.conf.d; "
    'echo "[Time]" >/run/systemd/timesyncd.conf.d/test.conf; '
    'echo "NTP=10.0.2.2" >>/run/systemd/timesyncd.conf.d/test.conf; chmod -R a+rX /run/systemd/timesyncd.conf.d\'\n'
}


class TimeServer:
    """Runs from ``start`` to ``stop``. Needs the right to bind port 123; whoever has it already answers as well."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", PORT))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.5)
        self._running = True
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._running = False
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while self._running:
            try:
                asked, peer = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            if len(asked) >= 48:
                received = _stamp(time.time())
                # no warning, version 4, server; stratum 2, precision 1 ms, no delay and dispersion to speak of
                head = struct.pack(">BBbbII4s", 0x24, 2, 6, -10, 0, 0, b"TEST")
                answer = head + received + asked[40:48] + received + _stamp(time.time())
                self._socket.sendto(answer, peer)


def _stamp(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack(">II", whole + _SINCE_1900, int((seconds - whole) * 2**32))
