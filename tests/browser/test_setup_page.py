"""From nothing to a report, as a technician does it: an office, one camera, its claim, and a phone's browser.

Everything is real: processes, TLS, Mosquitto, Chromium, the models, the seal. What is not: the camera looks at a drawn
film, and where nobody disciplines the kernel's clock, as in a container, the clock counts as synchronised.

The pictures of docs/setup.md are made here: ``make test-browser PICTURES=docs/setup``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rich.console import Console

from edge import config
from edge.setup import certificate
from edge.setup.words import words
from provisioning.broker import mosquitto
from provisioning.demo.cli import default_clip
from tests.browser.finger import Finger, phone, programs
from tests.browser.site import CAMERA, Site, held_before
from tests.rig import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GRANT = f"""
id = "traffic-1"
authority = "A court in a test"
legal_basis = "None: this is a test"
purpose = "Show what leaves a camera"
reference = "TEST 1"
function = "plates"
scope = "open"
cameras = ["{CAMERA}"]
days = 1
recipients = ["desk.pub"]
retention_hours = 1
triggers = ["line-1", "zone-1"]
"""


@pytest.fixture
def clip() -> Path:
    return default_clip(Console(stderr=True))


@pytest.fixture
def site(tmp_path: Path, clip: Path) -> Iterator[Site]:
    programs()
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: the setup page was not tested (make test-browser)", stacklevel=1)
        pytest.skip("needs Mosquitto: make test-browser installs it")
    made = Site(tmp_path, clip)
    try:
        yield made
    finally:
        made.close()


def key_digest(site: Site) -> str:
    """Of the page's key, as Chromium takes it: what the label's fingerprint stands for."""
    issued = x509.load_pem_x509_certificate((site.camera / certificate.CERTIFICATE).read_bytes())
    assert certificate.fingerprint(issued) == site.fingerprint
    der = issued.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Album:
    """The guide's pictures in one language. What photographing takes is no time of the technician's."""

    def __init__(self, thumb: Finger, language: str, folder: Path) -> None:
        self._thumb, self._language = thumb, language
        self._folder = Path(os.environ.get("PICTURES") or folder)
        self.seconds = 0.0

    def take(self, name: str) -> None:
        began = time.monotonic()
        self._thumb.driver.execute_script("document.activeElement.blur()")
        self._thumb.picture(self._folder / f"{name}.{self._language}.png")
        self.seconds += time.monotonic() - began

    def rest(self, seconds: float) -> None:
        """Waits for a good picture, as nobody at a camera would."""
        time.sleep(seconds)
        self.seconds += seconds


@pytest.mark.parametrize("language", ["en", "sr"])
def test_from_box_to_report(site: Site, clip: Path, tmp_path: Path, language: str) -> None:
    claim = site.make_office()
    site.start_office()
    site.listen()
    site.print_label()
    site.start_camera(before=held_before(clip, claim, tmp_path / "held.mp4"))
    with phone(tmp_path / "browser", key_digest(site), language) as thumb:
        thumb.driver.get(f"https://localhost:{site.page_port}/")
        assert words(language)["code.title"] in thumb.driver.page_source
        began = time.monotonic()
        album, aiming = set_up(site, thumb, Album(thumb, language, tmp_path / "pictures"))
        took = time.monotonic() - began - album.seconds - aiming
        print(f"{thumb.taps} taps, {took:.0f} s without aiming and pictures")
        assert thumb.taps <= 12
        assert took < 180.0
        assert thumb.complaints() == []
    assert site.ended("setup") == 0
    assert site.ended("aim") == 0
    assert not site.answers(site.page_port)
    assert not (site.camera / "run" / "aim" / "socket").exists()
    assert json.loads((site.camera / "sealed").read_text())["camera"] == CAMERA
    report_arrives(site, clip)


def set_up(site: Site, thumb: Finger, album: Album) -> tuple[Album, float]:
    """The technician's steps. Returns the album, and how many seconds aiming took."""
    album.take("1-code")
    thumb.type("#code", site.code)  # 1 tap, and 9 letters
    thumb.tap("#begin")  # 2
    thumb.wait("#enrol:enabled", 150)  # the camera sees the claim by itself
    album.rest(0.7)
    album.take("2-claim")
    thumb.tap("#enrol")  # 3

    thumb.wait("#plates.good", 90)
    began = time.monotonic()
    thumb.wait("#focus.good", 60)
    album.rest(2.0)
    aiming = time.monotonic() - began - 2.0
    album.take("3-aim")
    thumb.tap("#aimed")  # 4

    thumb.wait("#canvas")
    album.rest(1.5)
    thumb.stroke("#canvas", (0.1, 0.45), (0.6, 0.94))  # 5: a zone on the road
    thumb.tap("#tool-line")  # 6
    thumb.stroke("#canvas", (0.66, 0.78), (0.97, 0.66))  # 7: a line across the oncoming lane
    thumb.tap("#tool-privacy")  # 8
    thumb.stroke("#canvas", (0.03, 0.04), (0.3, 0.4))  # 9: the windows of the house
    album.rest(1.5)
    album.take("4-draw")
    thumb.tap("#save")  # 10

    thumb.wait("#seal:enabled", 90)
    album.take("5-checks")
    thumb.tap("#seal")  # 11
    thumb.tap("#seal.sure")  # 12
    thumb.wait(".end", 30)
    album.take("6-sealed")
    return album, aiming


def report_arrives(site: Site, clip: Path) -> None:
    """A grant for what trips the rules that were drawn is installed; vision and uplink run; a subscriber opens it."""
    settings = config.load(site.camera / "camera.toml", config.Vision)
    assert set(settings.behaviour.zones) == {"zone-1"}
    assert set(settings.behaviour.lines) == {"line-1"}
    assert len(settings.privacy) == 1
    assert "Written at enrolment" in (site.camera / "camera.toml").read_text()
    (site.folder / "traffic.toml").write_text(GRANT)
    site.vidik("grant", "new", "traffic.toml", "--key", "court.key", "--yes")
    signing = ["--key", "city.key", "--trust", "trust.toml", "--install", "camera/grants", "--yes"]
    site.vidik("grant", "sign", "traffic.grant", *signing)
    vision = site.look()
    wait_for(lambda: site.reports, 240.0)
    wait_for(lambda: vision.poll() is not None, 240.0)
    assert vision.returncode == 0, site.log("vision")
    shown = {plate["text"] for plate in json.loads(clip.with_suffix(".json").read_text())["plates"]}
    plates = [report for report in site.reports if report["kind"] == "plate"]
    assert plates
    for report in plates:
        assert report["camera"] == CAMERA
        assert report["text"] in shown
    recorded = b"".join(path.read_bytes() for path in (site.camera / "state" / "audit").iterdir())
    for state in (b"setup-began", b"session-began", b"enrolled", b"configured", b"sealed", b"setup-ended"):
        assert state in recorded, state
    assert tomllib.loads((site.camera / "camera.toml").read_text())["vision"]["events"] == "events"
