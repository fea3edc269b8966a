"""What the technician's steps do to the camera. Knows nothing of the web; may be called from several threads.

What was done is on the camera, not in the session: after a lost phone or a power cut, setup goes on where it was.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge import config, durable
from edge.aiming import Measures
from edge.enrol import claim as claims
from edge.enrol import identity
from edge.enrol.claim import Claim, ClaimError
from edge.enrol.identity import CONFIG, IDENTITY
from edge.errors import VidikError
from edge.setup import drawing
from edge.setup.camera import Camera
from edge.setup.checks import Checks, Result, passed
from edge.setup.door import Refusal
from edge.setup.drawing import Drawing

SEALED = "sealed"  # in a camera's folder
_FRESH = 1.0  # seconds for which one round of checks serves everybody who asks

Say = Callable[[str, str], object]


class SealError(VidikError):
    """The camera could not be sealed."""


@dataclass(slots=True)
class Steps:
    """``enrol_by``: turns a claim into an identity of the camera in ``folder``. ``say``: puts a state and its reason
    on record; it raises ``VidikError`` when that cannot be done."""

    folder: Path
    camera: Camera
    checks: Checks
    enrol_by: Callable[[Claim], object]
    say: Say
    aimed: bool = False
    drawn: bool = False
    _held: Claim | None = None
    _busy: threading.Lock = field(default_factory=threading.Lock)
    _results: tuple[float, list[Result]] = (float("-inf"), [])

    @property
    def enrolled(self) -> bool:
        """Whether the camera has an identity and a configuration."""
        return (self.folder / CONFIG).is_file() and identity.in_force(self.folder / IDENTITY) is not None

    @property
    def name(self) -> str:
        """The camera's id, "" before it has one that can be read."""
        try:
            return config.load(self.folder / CONFIG, config.Uplink).camera if self.enrolled else ""
        except config.ConfigError:
            return ""

    def next(self) -> str:
        """The step that is due."""
        if not self.enrolled:
            return "claim"
        return "checks" if self.drawn else "draw" if self.aimed else "aim"

    def began(self) -> None:
        """Somebody came in."""
        self.say("session-began", "")

    def closed(self, refusal: Refusal) -> None:
        """Wrong codes have closed the door. Single ones are not put on record, so that nobody can fill it with them."""
        with self._busy:
            self.say("code-refused", refusal.value)

    def measures(self, scan: bool) -> tuple[Measures, str]:
        """What the camera measures; with ``scan``, also the camera that a claim before the lens is for ("" for none,
        "?" for a code that is no claim). The claim itself is held here and shown to nobody."""
        found = self.camera.look(scan).measures
        if not scan:
            return found, ""
        if found.claim:
            try:
                self._held = claims.parse(found.claim)
            except ClaimError:
                return found, "?" if self._held is None else self._held.camera
        return found, "" if self._held is None else self._held.camera

    def preview(self) -> bytes:
        """A masked JPEG, empty when there is none."""
        return self.camera.look().picture

    def enrol(self, text: str) -> None:
        """Enrols with the claim in ``text``, or with the one that was held before the camera. Raises ``VidikError``."""
        claim = claims.parse(text) if text.strip() else self._held
        if claim is None:
            raise ClaimError("no claim")
        with self._busy:
            if not self.enrolled:
                self.enrol_by(claim)
                self.say("enrolled", claim.camera)
            self._held = None

    def drawing(self) -> Drawing:
        """What the configuration says of zones and lines. Raises ``ConfigError``."""
        return drawing.of(config.load(self.folder / CONFIG, config.Vision))

    def draw(self, text: bytes) -> None:
        """Stores the drawing in ``text``. Raises ``ConfigError``; the configuration is then as it was."""
        with self._busy:
            drawing.store(self.folder / CONFIG, drawing.parse(text))
            self.say("configured", "zones and lines")
            self.drawn = True

    def check(self) -> list[Result]:
        """The state of all checks. Raises ``VidikError`` without a usable configuration."""
        with self._busy:
            if time.monotonic() - self._results[0] > _FRESH:
                self._results = float("-inf"), self.checks.run()
                self._results = time.monotonic(), self._results[1]
            return self._results[1]

    def send_again(self) -> None:
        """Sends another test report."""
        with self._busy:
            self.checks.send_again()
            self._results = float("-inf"), []

    def seal(self) -> bool:
        """Seals the camera if every check passes now; returns whether it did. Raises ``VidikError``."""
        with self._busy:
            if not passed(self.checks.run()):
                return False
            self.say("sealed", "by a technician, on the setup page")
            content = json.dumps({"camera": self.name, "time": int(time.time()), "by": "setup page"})
            try:
                durable.write(self.folder / SEALED, content.encode(), mode=0o644)
            except OSError as error:
                raise SealError(f"{SEALED} cannot be written: {error}. Check the data partition.") from error
            return True
