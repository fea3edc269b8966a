"""A signer, a clock and a log for tests of what a camera states."""

from __future__ import annotations

import time

from edge.audit import Audit
from edge.signing import KeySigner
from provisioning import pki

NOW = float(int(time.time()))  # the certificates below are of today
CAMERA = "cam-1"
CA = pki.make_ca("Test")
ISSUED = pki.issue_signing(CA, CAMERA)
SIGNER = KeySigner(ISSUED.key, ISSUED.certificate)


class FakeClock:
    def __init__(self):
        self.now = NOW

    def wall(self):
        return self.now

    def monotonic(self):
        return self.now - NOW


def open_log(folder, clock=None, **sizes):
    return Audit(folder, clock or FakeClock(), CAMERA, SIGNER, **sizes)


def filled(folder, count=12, **sizes):
    """A closed log with ``count`` entries, and its signed head."""
    log = open_log(folder, **sizes)
    while log.state()[0] < count:
        log.append("boot", boot=log.state()[0], software="1.0")
    head = log.head()
    log.close()
    return head
