"""What processes of a camera read of each other, and of its certificates."""

from __future__ import annotations

import json

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from edge.audit import postbox
from edge.audit.postbox import Post
from edge.errors import VidikError
from edge.uplink.expiry import ends
from edge.uplink.metrics import Health
from provisioning import pki
from tests.fuzz.mutate import mutated_bytes, mutated_text

HEALTH = {
    "camera": "cam-1", "time": 1_795_000_000.1, "state": "degraded", "causes": ["camera lost"], "fps": 14.9,
    "frame_ms": 41.5, "latency_ms": {"p50": 60.0}, "frames": 1234, "skipped": {"dropped": 5}, "temperature": None,
    "certificate_days": 80, "night": True,
}  # fmt: skip
POSTS = [
    Post(event="update", facts={"state": "installed", "software": "2.0"}, time=1_795_000_000_000, nonce="0" * 16),
    Post(event="provisioning", facts={}, time=0, nonce="f" * 16),
]


def health(content: bytes) -> None:
    try:
        msgspec.json.decode(content, type=Health)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # as edge.uplink.metrics does it
        raise VidikError(str(error)) from error


def end(content: bytes) -> None:
    try:
        ends(content)
    except ValueError as error:
        raise VidikError(str(error)) from error


TARGETS = {
    "post": (postbox.parse, [msgspec.json.encode(post) for post in POSTS], mutated_text),
    "health": (health, [json.dumps(HEALTH).encode()], mutated_text),
    "end of a certificate": (
        end, [pki.issue_connection(pki.make_ca("Test"), "cam-1").certificate.public_bytes(Encoding.DER)],
        mutated_bytes,
    ),
}  # fmt: skip
