"""The end of a grant in the real vision process: its list and its key are gone from everything the process keeps."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge.grant import document, gate
from edge.grant.document import ListedFace, Revocation
from provisioning import deployment
from tests.law import quantised
from tests.rig import end, environment, wait_for

pytestmark = pytest.mark.slow
KEY = bytes(range(100, 132))
FACE = quantised(np.random.default_rng(5).standard_normal(128))
DIGEST = gate.plate_digest(KEY, "BG123AB")
LIFE = 15  # seconds until the grant for faces ends


@pytest.fixture
def clip(tmp_path):
    """A minute of an empty street, ten pictures a second."""
    from edge.vision.image import cv2  # the test writes pictures; the product has no such function

    path = tmp_path / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for shade in range(900):
        writer.write(np.full((240, 320, 3), 90 + shade % 9, np.uint8))
    writer.release()
    return path


def files_of(made, process):
    """Everything the process has written, or holds open."""
    found = {path for path in made.camera_folder.rglob("*") if path.is_file() and not path.is_symlink()}
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            target = descriptor.readlink()
        except OSError:
            continue  # closed meanwhile
        if target.is_file() and str(target).startswith(str(made.camera_folder)):
            found.add(descriptor)
    return found


def where(made, process, *secrets):
    """The files in which one of ``secrets`` stands."""
    found = []
    for path in files_of(made, process):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if any(secret in content for secret in secrets):
            found.append(path)
    return found


def test_list_and_keys_are_wiped_when_a_grant_is_revoked_and_when_it_expires(clip, tmp_path):
    made = deployment.create(tmp_path / "d")
    deployment.configure(made, str(clip), 1, pace=True)
    deployment.grant_plates(made, scope="listed", plates=(DIGEST,), template_key=KEY)
    log = tmp_path / "vision.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.vision", "--config", str(made.config)], stdout=output, stderr=output,
            env=environment(),
        )  # fmt: skip
    try:
        wait_for(lambda: "demo-plates (plates): in force" in log.read_text(), 120)
        ends = int(time.time()) + LIFE
        listed = ListedFace("p-1", FACE.vector.tobytes(), FACE.scale, 0.95)
        deployment.grant_faces(made, [listed], not_after=ends, template_key=KEY[::-1])
        wait_for(lambda: "demo-faces (faces): in force" in log.read_text())
        assert where(made, process, DIGEST)
        assert where(made, process, FACE.vector.tobytes())  # it is there, or nothing below would prove anything
        operator = load_pem_private_key((made.office / "operator.key").read_bytes(), password=None)
        taken = Revocation(grant="demo-plates", serial=1, reason="found", time=int(time.time()))
        (made.grants / "x.new").write_bytes(document.sign_revocation(taken, [operator]))
        (made.grants / "x.new").rename(made.grants / "x.revocation")
        began = time.time()
        wait_for(lambda: where(made, process, DIGEST, KEY) == [])
        revoked = time.time() - began
        wait_for(lambda: where(made, process, FACE.vector.tobytes(), KEY[::-1]) == [], LIFE + 30)
        expired = time.time() - ends
        wait_for(lambda: "demo-faces serial 1: grant expired; list and keys wiped" in log.read_text())
        assert expired >= -0.01  # not before its time either
        assert process.poll() is None
        print(f"wiped {revoked:.2f} s after the revocation lay there, {expired:.2f} s after the end")
    finally:
        end(process)
