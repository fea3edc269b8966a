"""Fuzz targets of updates: bundles from sticks, the office's offers, reports of cameras, and the camera's own files."""

from __future__ import annotations

import random

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from edge.update import bundle, image
from edge.update.image import Image
from edge.update.office import HttpSource
from edge.update.state import FILE, Outcome, Pending, State, Store
from provisioning import pki
from provisioning.office import updates
from tests.fuzz.mutate import mutated_bytes, mutated_text
from tests.fuzz.statements import HOME, file

IMAGE = Image(version="2026.11", board="vidik-generic-amd64", channel="release", floor="2026.9")
CA = pki.make_update_ca("Fuzz", "release updates")
SIGNER = pki.issue_update_signer(CA, "signer")
CONTENT = b"hsqs" + bytes(36) + (12_000).to_bytes(8, "little") + random.Random(1).randbytes(3 * bundle.BLOCK - 48)
SALT = bytes(range(32))


def _manifest() -> bytes:
    """A manifest that fits CONTENT, by the functions that check it: a bundle that was read proves these, too."""
    level = b"".join(bundle._hash(SALT, block) for block in bundle._cut(CONTENT))
    root = bundle._hash(SALT, bundle._padded(level))
    return (
        f"[update]\ncompatible={IMAGE.board}\nversion=2026.12\n\n[bundle]\nformat=verity\nverity-hash={root.hex()}\n"
        f"verity-salt={SALT.hex()}\nverity-size={bundle.tree_size(len(CONTENT))}\n\n[image.rootfs]\nfilename=rootfs.img\n"
    ).encode()


def _signed(manifest: bytes) -> bytes:
    tree = bundle._padded(b"".join(bundle._hash(SALT, block) for block in bundle._cut(CONTENT)))
    message = (
        pkcs7.PKCS7SignatureBuilder().set_data(manifest).add_signer(SIGNER.certificate, SIGNER.key, hashes.SHA256())
        .sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )  # fmt: skip
    return CONTENT + tree + message + len(message).to_bytes(8, "big")


def examined(content: bytes) -> None:
    bundle.check_content(bundle.read(file(content, ".raucb")))


def examined_manifest(manifest: bytes) -> None:
    """What a mistaken or malicious signer could say."""
    examined(_signed(manifest))


class _Answering:
    """An enrolment service that answers so."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        return self._content


def kept(content: bytes) -> None:
    folder = HOME / "update"
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(content)
    Store(folder).load()


OFFER = b'{"offer":{"offer":1,"version":"2026.12","board":"vidik-rpi5","size":1000,"digest":"' + b"ab" * 32 + b'"}}'
STATE = State(
    floor="2026.9", tries={"ab" * 32: 2}, home="rootfs.0",
    pending=Pending(digest="ab" * 32, version="2026.12", offer=1, stage="installing", home="rootfs.0", boot="b"),
)  # fmt: skip


def reported(content: bytes) -> None:
    updates._parsed(lambda: msgspec.json.decode(content, type=Outcome))


OUTCOME = b'{"offer":3,"state":"failed","version":"2026.12","cause":"it did not come up"}'
TARGETS = {
    "bundle": (examined, [_signed(_manifest())], mutated_bytes),
    "bundle, signed": (examined_manifest, [_manifest()], mutated_text),
    "offer of an update": (
        lambda c: HttpSource(_Answering(c)).offer(IMAGE), [OFFER, b'{"offer":null}'], mutated_text  # type: ignore[arg-type]
    ),
    "what became of an offer": (reported, [OUTCOME], mutated_text),
    "state of updates": (kept, [msgspec.json.encode(STATE)], mutated_text),
    "what an image is": (lambda c: image.load(file(c, ".toml")), [IMAGE.toml().encode()], mutated_text),
}  # fmt: skip
