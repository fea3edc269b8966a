"""The setup page, served for real over TLS: who comes in, what is turned away, what the steps do, and how it ends."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from edge import config, systemd
from edge.aiming import Answer
from edge.audit.events import AuditError
from edge.enrol.claim import Claim
from edge.enrol.errors import TryLater
from edge.setup import certificate, door, label
from edge.setup.__main__ import main
from edge.setup.addresses import Addresses, listen
from edge.setup.camera import Camera
from edge.setup.door import TRIES
from edge.setup.guard import LARGEST, POLICY
from edge.setup.local import NotLocal, Place
from edge.trial import Trial, TrialState
from tests.offices import free_port
from tests.rig import environment, wait_for
from tests.setup_rig import CLAIM, COOKIE, SetupPage, ToldTrial, Visitor, enrolled

LISTEN = "0A"  # in /proc/net/tcp
SECRET = "A" * 32  # of the claim
DRAWING = {"zones": [{"name": "zone-1", "points": [[0, 0], [0.5, 0], [0.5, 0.5]], "rule": "entry"}]}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[SetupPage]:
    with SetupPage(tmp_path).running() as running:
        yield running


def tcp() -> list[list[str]]:
    """The kernel's table of IPv4 connections."""
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


# who comes in ----------------------------------------------------------------------------------------------


def test_only_the_code_opens_anything(page: SetupPage) -> None:
    visitor = page.visitor()
    assert visitor.get("/") == 200
    for path in ("/claim", "/aim", "/draw", "/checks"):
        assert visitor.ask("GET", path).headers["Location"] == "/", path
    for path in ("/preview", "/measures", "/checks/state"):
        assert visitor.get(path, Sec_Fetch_Mode="cors") == 401, path
        assert "masked" not in visitor.body
    visitor.get("/")
    for path in ("/claim", "/aim", "/draw", "/trial", "/seal"):
        assert visitor.post(path).status == 403, path
    assert visitor.enter("2222-2222") == 403
    assert visitor.enter(page.printed) == 303
    assert visitor.get("/preview") == 200
    assert page.said == [("session-began", "")]


def test_the_session_is_a_new_cookie_that_scripts_and_other_sites_do_not_get(page: SetupPage) -> None:
    visitor = page.visitor()
    visitor.get("/")
    before = visitor.cookies[COOKIE]
    visitor.post("/code", code=page.printed)
    assert visitor.cookies[COOKIE] != before
    assert COOKIE.startswith("__Host-")
    for cookie in visitor.set_cookies:
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")), cookie
        assert "Domain" not in cookie
    visitor.cookies[COOKIE] = before
    assert visitor.get("/preview", Sec_Fetch_Mode="cors") == 401


def test_wrong_codes_are_limited_over_all_who_try_and_put_on_record(page: SetupPage) -> None:
    statuses = [page.visitor().enter("2222-2222") for _ in range(TRIES)]
    assert statuses == [403] * (TRIES - 1) + [429]
    for _ in range(20):
        assert page.visitor().enter(page.printed) == 429
    assert page.said == [("code-refused", "locked")]  # once: nobody can fill the record
    page.now += 61
    assert page.visitor().enter(page.printed) == 303


def test_a_code_that_somebody_watched_opens_nothing_while_the_technician_works(page: SetupPage) -> None:
    technician, watcher = page.inside(), page.visitor()
    assert watcher.enter(page.printed) == 429
    assert "Another phone" in watcher.body
    assert technician.get("/preview") == 200
    page.now += 121
    assert watcher.enter(page.printed) == 303  # had the technician's phone been lost, it would have been his
    assert technician.get("/preview", Sec_Fetch_Mode="cors") == 401


def test_a_request_played_back_is_refused(page: SetupPage) -> None:
    technician = page.inside()
    technician.get("/claim")
    proof, cookie = technician.proof, technician.cookies[COOKIE]
    assert technician.post("/claim", claim=CLAIM).status == 303
    page.now += 121
    again = page.inside()
    again.cookies[COOKIE] = cookie
    assert again.post("/draw", proof=proof, drawing=json.dumps(DRAWING)).status == 403
    assert config.load(page.folder / "camera.toml", config.Vision).behaviour.zones == {}


# what is turned away ---------------------------------------------------------------------------------------


def test_nobody_beyond_the_link_gets_an_answer_with_anything_in_it(page: SetupPage) -> None:
    stranger = page.visitor("127.0.0.2")  # the page serves 127.0.0.1/32
    for path in ("/", "/static/page.css", "/preview"):
        assert stranger.get(path) == 403
        assert stranger.body == ""


def test_only_tls_and_no_old_one_is_spoken(page: SetupPage) -> None:
    with socket.create_connection(("127.0.0.1", page.port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in plain.recv(100)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", page.port)) as plain, pytest.raises(OSError):
        old.wrap_socket(plain)


def test_packets_do_not_cross_a_router(page: SetupPage) -> None:
    own = {row[1].partition(":")[0] for row in tcp() if row[1].endswith(f":{page.port:04X}") and row[3] == LISTEN}
    assert own == {"0100007F"}  # 127.0.0.1, and no address that stands for all
    with (
        listen(Place(ipaddress.ip_interface("127.0.0.1/8")), 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1


def test_another_host_name_is_refused(page: SetupPage) -> None:
    visitor = page.visitor()
    assert visitor.get("/", Host=f"evil.example:{page.port}") == 421
    assert visitor.get("/", Host="") in (400, 421)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Origin": "https://evil.example"}, {"Origin": "null"},
        {"Origin": "SAME", "Sec-Fetch-Site": "cross-site"},
    ],
)  # fmt: skip
def test_cross_site_posts_change_nothing_even_with_cookie_and_proof(page: SetupPage, headers: dict[str, str]) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    sent = {name: technician.origin if value == "SAME" else value for name, value in headers.items()}
    body = f"proof={technician.proof}".encode()
    assert technician.ask("POST", "/seal", body, **sent).status == 403
    assert not (page.folder / "sealed").exists()


def test_a_post_without_its_proof_changes_nothing(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    for proof in ("", "0" * 64, page.door.proof("another visitor")):
        assert technician.post("/seal", proof=proof).status == 403
    assert not (page.folder / "sealed").exists()


@pytest.mark.parametrize(
    "path", ["/", "/static/page.css", "/static/draw.js", "/nowhere", "/claim", "/measures", "/preview", "/static/../x"]
)
def test_every_answer_carries_the_headers(page: SetupPage, path: str) -> None:
    for visitor in (page.visitor(), page.inside()):
        answer = visitor.ask("GET", path)
        assert answer.headers.get_all("Content-Security-Policy") == [POLICY]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] is None
        page.now += 121


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    for path in ("/aim", "/draw", "/checks"):
        assert technician.get(path) == 200
        for forbidden in ("<style", " style=", " onclick", "javascript:", "<script>", "http://", "//"):
            assert forbidden not in technician.body.replace("vidik://", ""), (path, forbidden)


def bytes_without_end() -> Iterator[bytes]:
    for _ in range(LARGEST // 1024 + 64):
        yield b"proof=" + b"x" * 1018


def test_bodies_and_heads_without_end_are_cut_off(page: SetupPage) -> None:
    technician = page.inside()
    technician.get("/claim")
    long = technician.ask("POST", "/claim", b"x" * (LARGEST + 1), Origin=technician.origin)
    assert long.status == 413
    try:
        status = technician.ask("POST", "/claim", bytes_without_end(), Origin=technician.origin).status
    except OSError:  # cut off while it was still sending
        status = 413
    assert status == 413
    try:
        status = technician.get("/preview", X_Long="x" * (1 << 20))
    except OSError:
        status = 400
    assert status == 400
    assert technician.get("/preview") == 200  # and it lives on


@pytest.mark.parametrize(
    "body",
    [b"", b"=", b"&" * 1000, b"proof", b"\xff\xfe", b"proof=%ff", b"a=1&" * 40, b'{"proof": 1}', b"proof=%C4%87"],
)
def test_hostile_forms_are_refused(page: SetupPage, body: bytes) -> None:
    technician = page.inside()
    for path in ("/code", "/claim", "/draw", "/seal"):
        assert technician.ask("POST", path, body, Origin=technician.origin).status == 403, path


# the steps -------------------------------------------------------------------------------------------------


def test_a_claim_held_before_the_camera_enrols_and_no_page_repeats_it(page: SetupPage) -> None:
    technician = page.inside()
    measures = msgspec.structs.replace(page.answer.measures, claim=CLAIM)
    page.answer = Answer(measures, page.answer.picture)
    assert technician.ask("GET", "/").headers["Location"] == "/claim"
    assert technician.get("/measures?scan=1") == 200
    assert json.loads(technician.body)["claim"] == "cam-1"
    assert SECRET not in technician.body
    technician.get("/claim")
    assert SECRET not in technician.body
    assert technician.post("/claim", claim="").status == 303
    assert [str(claim) for claim in page.claims] == [CLAIM]
    assert ("enrolled", "cam-1") in page.said
    assert technician.ask("GET", "/").headers["Location"] == "/aim"


def test_a_code_that_is_no_claim_is_said_to_be_none(page: SetupPage) -> None:
    technician = page.inside()
    page.answer = Answer(msgspec.structs.replace(page.answer.measures, claim="https://example.org"), b"")
    technician.get("/measures?scan=1")
    assert json.loads(technician.body)["claim"] == "?"
    technician.get("/claim")
    assert technician.post("/claim", claim="").status == 422
    assert "No claim was seen yet" in technician.body
    assert technician.post("/claim", claim="vidik://x").status == 422
    assert page.claims == []


def test_an_enrolment_that_fails_can_be_tried_again(page: SetupPage) -> None:
    def away(claim: Claim) -> None:
        raise TryLater("The enrolment service enrol.example:8443 cannot be reached: no route.")

    technician, works = page.inside(), page.enrol
    page.enrol = away
    technician.get("/claim")
    assert technician.post("/claim", claim=CLAIM).status == 422
    assert "cannot be reached: no route" in technician.body
    assert SECRET not in technician.body
    page.enrol = works
    assert technician.post("/claim", claim=CLAIM).status == 303


def test_what_was_drawn_is_in_the_configuration(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/draw")
    assert technician.post("/draw", drawing=json.dumps(DRAWING)).headers["Location"] == "/checks"
    settings = config.load(page.folder / "camera.toml", config.Vision)
    assert list(settings.behaviour.zones) == ["zone-1"]
    technician.get("/draw")
    bow = {"zones": [{"name": "<b>", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}]}
    assert technician.post("/draw", drawing=json.dumps(bow)).status == 422
    assert "<b>" not in technician.body
    assert config.load(page.folder / "camera.toml", config.Vision) == settings


def test_after_a_lost_phone_it_goes_on_where_it_was(page: SetupPage) -> None:
    first = page.inside()
    first.get("/claim")
    first.post("/claim", claim=CLAIM)
    page.now += 121
    second = page.inside()
    assert second.ask("GET", "/").headers["Location"] == "/aim"


@pytest.mark.parametrize(
    ("accepted", "title"), [("sr-RS,sr;q=0.9,en;q=0.8", "Kod sa nalepnice"), ("de", "Code from the")]
)
def test_it_speaks_the_phone_s_language_or_the_one_that_was_chosen(page: SetupPage, accepted: str, title: str) -> None:
    visitor = page.visitor()
    visitor.get("/", Accept_Language=accepted)
    assert title in visitor.body
    visitor.get("/?lang=sr", Accept_Language=accepted)
    visitor.get("/", Accept_Language=accepted)
    assert "Kod sa nalepnice" in visitor.body


# addresses that come and go ----------------------------------------------------------------------------------


def at(*hosts: str) -> list[Place]:
    return [Place(ipaddress.ip_interface(f"{host}/32")) for host in hosts]


def test_an_address_that_comes_later_is_served_and_one_that_is_gone_is_not(page: SetupPage) -> None:
    technician = page.inside()
    late = Visitor(page.port, page.tls, "127.0.0.3", "127.0.0.3")
    page.places = at("127.0.0.1", "127.0.0.3")
    wait_for(lambda: page.listens("127.0.0.3"), 20)
    assert late.get("/") == 200
    assert technician.get("/preview") == 200  # whose session goes on
    page.places = at("127.0.0.3")
    wait_for(lambda: not page.listens(), 20)
    assert late.get("/") == 200
    assert late.get("/", Host=f"127.0.0.1:{page.port}") == 421
    page.places = []
    wait_for(lambda: not page.listens("127.0.0.3"), 20)
    page.places = at("127.0.0.1")
    wait_for(page.listens, 20)
    assert technician.get("/preview") == 200
    assert page.told == ["127.0.0.1", "127.0.0.1, 127.0.0.3", "127.0.0.3", "no address yet", "127.0.0.1"]


def test_an_address_that_comes_after_the_seal_is_not_served(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    assert technician.post("/seal").status == 200
    page.places = at("127.0.0.1", "127.0.0.3")
    while page.thread.is_alive():
        assert not page.listens("127.0.0.3")
        page.thread.join(0.05)
    assert not [row for row in tcp() if row[1].endswith(f":{page.port:04X}") and row[3] == LISTEN]


def test_a_place_that_is_taken_stops_the_start_and_later_hinders_no_other(
    page: SetupPage, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = Addresses(lambda: page.places, page.port)
    with pytest.raises(NotLocal, match=r"127\.0\.0\.1.*served already"):
        addresses.follow()
    page.places = at("127.0.0.1", "127.0.0.4", "192.0.2.1")  # the last is not ours yet
    for _ in range(2):
        addresses.keep_following()
    assert addresses.hosts == "127.0.0.4"
    assert caplog.text.count("served already") == 1
    addresses.close()
    assert not page.listens("127.0.0.4")


def test_the_manager_hears_that_it_is_ready_when_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, port = tmp_path / "other", free_port()
    label.make(folder)
    heard: list[tuple[str, ...]] = []

    def notify(*lines: str) -> None:
        tls = ssl.create_default_context(cafile=str(folder / certificate.CERTIFICATE))
        tls.check_hostname = False
        answers.append(pool.submit(Visitor(port, tls).get, "/"))
        heard.append(lines)

    answers: list[Future[int]] = []
    monkeypatch.setattr(systemd, "notify", notify)
    monkeypatch.setattr(door, "LASTS", 3.0)
    with ThreadPoolExecutor(1) as pool:
        assert main(["--folder", str(folder), "--interface", "lo", "--port", str(port)]) == 0
        assert [answer.result() for answer in answers] == [200]
    assert heard[0][0] == "READY=1"
    assert heard[0][1].startswith("STATUS=serves 127.0.0.1")


# the end ---------------------------------------------------------------------------------------------------


def test_after_the_seal_nothing_listens(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    answer = technician.post("/seal")
    assert answer.status == 200
    assert "Sealed" in technician.body
    assert json.loads((page.folder / "sealed").read_text())["camera"] == "cam-1"
    assert page.said[-1][0] == "sealed"
    assert technician.get("/preview", Sec_Fetch_Mode="cors") == 401  # at once
    assert technician.get("/static/page.css") == 200  # what the last page is drawn with
    wait_for(lambda: not page.listens(), 20)
    page.thread.join(20)
    assert not page.thread.is_alive()
    assert not [row for row in tcp() if row[1].endswith(f":{page.port:04X}") and row[3] == LISTEN]


@pytest.mark.parametrize("bad", ["clock", "broker", "models", "trial"])
def test_it_is_not_sealed_while_a_check_fails(page: SetupPage, bad: str) -> None:
    enrolled(page.folder)
    page.checks.bad = {bad}
    technician = page.inside()
    technician.get("/checks/state")
    states = {found["name"]: found["state"] for found in json.loads(technician.body)}
    assert {name for name, state in states.items() if state == "bad"} == {bad}
    technician.get("/checks")
    assert technician.post("/seal").status == 409
    assert not (page.folder / "sealed").exists()
    page.checks.bad = set()
    assert technician.post("/seal").status == 200


def test_a_broken_configuration_is_named_and_nothing_is_sealed(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    proof = technician.proof
    (page.folder / "camera.toml").write_text("nonsense")
    assert technician.get("/draw") == 500
    assert "cannot be read" in technician.body
    assert technician.post("/draw", proof=proof, drawing=json.dumps(DRAWING)).status == 422
    assert (page.folder / "camera.toml").read_text() == "nonsense"


def test_what_cannot_be_put_on_record_is_not_done(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    page.said = Refusing()  # type: ignore[assignment]
    assert technician.post("/seal").status == 500
    assert "The postbox is full." in technician.body
    assert not (page.folder / "sealed").exists()


class Refusing(list[tuple[str, str]]):
    def append(self, _: tuple[str, str]) -> None:
        raise AuditError("The postbox is full.")


def test_it_ends_by_itself_after_fifteen_minutes(page: SetupPage) -> None:
    technician = page.inside()
    page.now += 14 * 60
    technician.get("/preview")
    assert page.listens()
    page.now += 61
    page.thread.join(20)
    assert not page.listens()


def test_the_test_report_can_be_sent_again(page: SetupPage) -> None:
    enrolled(page.folder)
    technician = page.inside()
    technician.get("/checks")
    assert technician.post("/trial").status == 303
    assert page.checks.again == 1


# the stand-in for the test report --------------------------------------------------------------------------


@pytest.mark.parametrize("real", [True, False])
def test_a_test_report_is_idle_then_has_a_fate(tmp_path: Path, real: bool) -> None:
    """The real one, of a camera that is in no deployment, and the stand-in that was told the same."""
    fake = ToldTrial(TrialState("failed", "The camera is in no deployment yet."))
    trial = Trial(tmp_path) if real else fake
    assert trial.state().state == "idle"
    assert trial.state().says
    trial.send()
    assert trial.state().state == "failed"
    assert trial.state().says
    trial.send()
    assert trial.state().state == "failed"


# both processes, as the service manager runs them ------------------------------------------------------------


def test_told_to_stop_both_end_in_order_and_say_so(tmp_path: Path) -> None:
    """With a film before the lens, while the page looks; the uplink's and everybody else's events are not lost."""
    import cv2
    import numpy as np

    film = cv2.VideoWriter(str(tmp_path / "street.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (640, 360))
    for value in range(60):
        film.write(np.full((360, 640, 3), 3 * value, np.uint8))
    film.release()
    folder = tmp_path / "camera"
    assert main(["--folder", str(folder), "--label"]) == 0
    port = free_port()
    commands = {
        "aim": ["-m", "edge.vision.aim", "--folder", str(folder), "--source", str(tmp_path / "street.mp4")],
        "setup": ["-m", "edge.setup", "--folder", str(folder), "--interface", "lo", "--port", str(port)],
    }
    running = {}
    for name, command in commands.items():
        with (tmp_path / f"{name}.log").open("wb") as log:
            running[name] = subprocess.Popen([sys.executable, *command], stderr=log, env=environment())
    try:
        camera = Camera(folder / "run" / "aim" / "socket")
        wait_for(lambda: camera.look().picture, 90)
        with socket.socket() as probe:
            wait_for(lambda: probe.connect_ex(("127.0.0.1", port)) == 0, 60)
    finally:
        ends = {name: (process.terminate(), process.wait(60))[1] for name, process in running.items()}
    camera.close()
    assert ends == {"aim": 0, "setup": 0}, {name: (tmp_path / f"{name}.log").read_text() for name in running}
    posted = [json.loads(path.read_text())["facts"]["state"] for path in sorted((folder / "events").glob("*.event"))]
    assert posted == ["setup-began", "setup-ended"]
