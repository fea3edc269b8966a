"""The checks before the seal: each says ok, wait or bad for what is so, on real sockets, files and certificates."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge import config
from edge.aiming import Measures
from edge.setup import checks
from edge.setup.checks import NAMES, Checks, Result, passed
from edge.setup.words import LANGUAGES, words
from edge.trial import TrialState
from provisioning import pki
from tests.setup_rig import CAMERA, ToldTrial

CONFIRMED = TrialState("confirmed", "Opened and confirmed by desk.", ("desk",))
WELL = Measures(tested=6)


@contextmanager
def broker(folder: Path, ca: pki.Issued, refuses: bool = False) -> Iterator[int]:
    """A server with mutual TLS that then waits for the client to speak, as brokers do. Yields its port."""
    pki.issue_server(ca, ["localhost"]).save(folder, "broker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
    context.load_verify_locations(folder / "other-ca.pem" if refuses else folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                with suppress(OSError):
                    held.append(context.wrap_socket(accepted, server_side=True))

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.close()
        for connection in held:
            connection.close()


@pytest.fixture
def ca(tmp_path: Path) -> pki.Issued:
    pki.make_ca("Another").save(tmp_path, "other-ca")
    made = pki.make_ca("Test")
    made.save(tmp_path, "ca")
    return made


def camera(folder: Path, ca: pki.Issued, port: int, host: str = "localhost") -> Path:
    """The folder of an enrolled camera."""
    held = folder / "camera" / "identity" / "made"
    held.mkdir(parents=True)
    (folder / "camera" / "identity" / "current").symlink_to("made")
    pki.issue_connection(ca, "cam-1").save(held, "connection")
    pki.issue_signing(ca, "cam-1").save(held, "signing")
    (held / "ca.pem").write_bytes((folder / "ca.pem").read_bytes())
    text = CAMERA.replace('host = "broker.example"', f'host = "{host}"\nport = {port}\nspool_bytes = 1048576')
    files = (('ca = "ca"', "ca.pem"), ('certificate = "c"', "connection.pem"), ('key = "k"', "connection.key"))
    for line, file in files:
        text = text.replace(f"\n{line}", f'\n{line.partition(" ")[0]} = "identity/made/{file}"')
    (folder / "camera" / "camera.toml").write_text(text)
    return folder / "camera"


def run(folder: Path, trial: ToldTrial | None = None, measures: Measures = WELL, clock: bool = True) -> list[Result]:
    return Checks(folder, lambda: measures, trial or ToldTrial(CONFIRMED), lambda: clock).run()


def states(results: list[Result]) -> dict[str, str]:
    return {result.name: result.state for result in results}


def test_all_is_well_with_a_camera_that_is(tmp_path: Path, ca: pki.Issued) -> None:
    with broker(tmp_path, ca) as port:
        results = run(camera(tmp_path, ca, port))
    assert states(results) == dict.fromkeys(NAMES, "ok"), results
    assert passed(results)
    assert not passed(results[:-1])  # a check that is not there has not passed
    assert not passed([])


@pytest.mark.parametrize("refuses", [False, True])
def test_a_broker_that_does_not_know_the_camera_or_is_not_the_right_one_shows(
    tmp_path: Path, ca: pki.Issued, refuses: bool
) -> None:
    with broker(tmp_path, ca, refuses) as port:
        folder = camera(tmp_path, ca, port)
        if not refuses:
            (folder / "identity" / "made" / "ca.pem").write_bytes((tmp_path / "other-ca.pem").read_bytes())
        trial = ToldTrial(CONFIRMED)
        found = states(run(folder, trial))
    assert found["uplink"] == "ok"
    assert found["broker"] == "bad"
    assert found["trial"] == "wait"
    assert trial.sent == 0  # not before the way is free


def test_what_is_on_the_broker_s_port_and_is_none_shows(tmp_path: Path, ca: pki.Issued) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        folder = camera(tmp_path, ca, listening.getsockname()[1])

        def hang_up() -> None:
            for _ in range(2):
                listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        assert states(run(folder))["broker"] == "bad"


def test_without_a_network_the_rest_waits(tmp_path: Path, ca: pki.Issued) -> None:
    results = run(camera(tmp_path, ca, 1))
    found = states(results)
    assert (found["uplink"], found["broker"], found["trial"]) == ("bad", "wait", "wait")
    assert "refused" in str(results[1].facts["cause"])
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    named = run(camera(tmp_path / "away", ca, 8883, "no-such-host.invalid"))
    assert states(named)["uplink"] == "bad"


def test_a_clock_that_nobody_set_shows(tmp_path: Path, ca: pki.Issued) -> None:
    folder = camera(tmp_path, ca, 1)
    assert states(run(folder, clock=False))["clock"] == "bad"
    early = Checks(folder, lambda: WELL, ToldTrial(CONFIRMED), lambda: True, lambda: datetime(2020, 1, 1, tzinfo=UTC))
    assert states(early.run())["clock"] == "bad"


def test_certificates_that_are_over_missing_or_another_s_show(tmp_path: Path, ca: pki.Issued) -> None:
    folder = camera(tmp_path, ca, 1)
    (well,) = [result for result in run(folder) if result.name == "certificate"]
    assert well.state == "ok"
    assert int(well.facts["days"]) > 300
    later = Checks(
        folder, lambda: WELL, ToldTrial(CONFIRMED), lambda: True, lambda: datetime.now(UTC) + timedelta(days=4000)
    )
    assert states(later.run())["certificate"] == "bad"
    held = folder / "identity" / "made"
    pki.issue_signing(ca, "cam-2").save(tmp_path, "other")
    kept = (held / "signing.pem").read_bytes()
    for wrong in ((tmp_path / "other.pem").read_bytes(), b"nonsense"):
        (held / "signing.pem").write_bytes(wrong)
        assert states(run(folder))["certificate"] == "bad"
    (held / "signing.pem").write_bytes(kept)
    (held / "ca.pem").write_bytes((tmp_path / "other-ca.pem").read_bytes())
    assert states(run(folder))["certificate"] == "bad"


def test_storage_that_is_too_small_or_broken_shows(
    tmp_path: Path, ca: pki.Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = camera(tmp_path, ca, 1)
    uplink = folder / "camera.toml"
    uplink.write_text(uplink.read_text().replace("spool_bytes = 1048576", f"spool_bytes = {1 << 60}"))
    assert states(run(folder))["disk"] == "bad"
    (folder / "setup").rmdir()
    (folder / "setup").write_text("in the way")
    (disk,) = [result for result in run(folder) if result.name == "disk"]
    assert disk.says == "disk_fail"


@pytest.mark.parametrize(
    ("measures", "accelerator", "models"),
    [
        (Measures(), "wait", "wait"),
        (Measures(tested=6), "ok", "ok"),
        (Measures(tested=6, accelerator="edge-tpu"), "ok", "ok"),
        (Measures(tested=6, accelerator="edge-tpu", faults=("no answer within 1 s",)), "bad", "ok"),
        (Measures(tested=0, faults=("the file is altered",)), "ok", "bad"),
    ],
)
def test_models_and_accelerator_are_what_the_camera_process_says(
    measures: Measures, accelerator: str, models: str
) -> None:
    assert checks.accelerator(measures).state == accelerator
    assert checks.models(measures).state == models


@pytest.mark.parametrize(
    ("state", "shown"), [("idle", "wait"), ("waiting", "wait"), ("confirmed", "ok"), ("failed", "bad")]
)
def test_a_test_report_must_be_confirmed(state: str, shown: str) -> None:
    assert checks.trial(TrialState(state, "said so", ("a",), ("b",))).state == shown  # type: ignore[arg-type]


def test_the_test_report_is_sent_once_by_itself_and_again_when_asked(tmp_path: Path, ca: pki.Issued) -> None:
    trial = ToldTrial(TrialState("waiting", "On its way."))
    with broker(tmp_path, ca) as port:
        made = Checks(camera(tmp_path, ca, port), lambda: WELL, trial, lambda: True)
        assert states(made.run())["trial"] == states(made.run())["trial"] == "wait"
        assert trial.sent == 1
        made.send_again()
        assert trial.sent == 2


def test_everything_that_is_not_well_has_a_cause_and_a_next_step_in_both_languages(
    tmp_path: Path, ca: pki.Issued
) -> None:
    folder = camera(tmp_path, ca, 1)
    (folder / "setup").write_text("in the way")
    bad = [*run(folder, clock=False), checks.trial(TrialState("failed", "Nobody has confirmed it."))]
    bad += [checks.models(Measures(faults=("altered",))), checks.accelerator(Measures(tested=1, faults=("hangs",)))]
    for language in LANGUAGES:
        for result in bad:
            text = words(language)[f"check.{result.says}"].format(**result.facts)
            assert "{" not in text
            if result.state == "bad":
                assert text.count(".") >= 2 or ";" in text, text
    assert config.load(folder / "camera.toml", config.Uplink).port == 1
