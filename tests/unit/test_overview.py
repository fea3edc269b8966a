"""How the fleet is judged and shown, and that nothing a camera may write breaks the judgement or the screen."""

from __future__ import annotations

import io
import json
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from provisioning import pki
from provisioning.office import table as inventory_table
from provisioning.office.inventory import Camera
from provisioning.overview import board, judge, said
from provisioning.overview.board import View
from provisioning.overview.judge import Order, State
from provisioning.overview.said import Said, Statements
from tests import law
from tests.statements import health, signed_card, status

NOW = datetime.now(UTC)
SECONDS = NOW.timestamp()
CA = pki.make_ca("Fleet")
CAM_1, CAM_2 = (pki.issue_signing(CA, name) for name in ("cam-1", "cam-2"))
STRANGER = pki.issue_signing(pki.make_ca("Another"), "cam-1")
GRANT = law.make(id="plates-7", not_before=int(SECONDS) - 100, not_after=int(SECONDS) + 5 * 3600)


class Fleet:
    """What was heard, and what the inventory has."""

    def __init__(self, entries=None):
        self.statements, self.known, self.entries = Statements(CA.certificate), {}, entries

    def says(self, camera, channel, payload):
        self.statements.take(f"vidik/v1/{camera}/{channel}", payload)
        return self

    def lines(self, now=NOW):
        self.statements.read(self.known, now)
        return {line.camera: line for line in judge.lines(self.known, self.entries, now)}

    def line(self, camera="cam-1", now=NOW):
        return self.lines(now)[camera]


def entry(name, state="enrolled", until=None, **fields):
    camera = Camera(name, fields.get("label", ""), fields.get("place", ""), 1, state)
    return inventory_table.Row(camera, None, None if until is None else int(SECONDS + until * 86400))


def well(**changes):
    fleet = Fleet()
    fleet.says("cam-1", "status", status(CAM_1, **changes)).says("cam-1", "health", health(SECONDS))
    return fleet.says("cam-1", "card", signed_card(CAM_1, "cam-1", SECONDS, [GRANT]))


def test_a_camera_that_is_well():
    line = well().line()
    assert (line.state, line.online, line.fps, line.version, line.causes) == (State.WELL, True, 14.9, "0.1.0", ())
    (permit,) = line.permits
    assert (permit.function, permit.id, board.days(permit.until, NOW)) == ("plates", "plates-7", "5 h")
    assert line.certificate_days is not None
    assert line.certificate_days > 30


@pytest.mark.parametrize(
    ("channel", "payload", "state", "cause"),
    [
        ("status", status(CAM_1, state="offline"), State.OFFLINE, ""),
        ("health", health(SECONDS, state="degraded", causes=["it is hot"]), State.DEGRADED, "it is hot"),
        ("health", health(SECONDS, state="failing", causes=["no camera"]), State.FAILING, "no camera"),
        ("health", health(SECONDS, state="failing"), State.FAILING, "it is failing"),
        ("health", health(SECONDS - 3600), State.DEGRADED, "its health is 60 minutes old"),
        ("update", b'{"state":"failed","version":"2","slot":"B","cause":"no boot"}', State.DEGRADED, "failed: no boot"),
        ("update", b'{"state":"installed","version":"2","slot":"B"}', State.WELL, ""),
        ("status", status(CAM_1, trouble="disk I/O error"), State.FAILING, "disk I/O error"),
    ],
)
def test_what_is_not_as_it_should_be(channel, payload, state, cause):
    line = well().says("cam-1", channel, payload).line()
    assert line.state == state
    assert cause in "; ".join(line.causes)


def test_an_offline_camera_s_old_words_are_not_shown_as_present():
    line = well().says("cam-1", "status", status(CAM_1, state="offline")).line(now=NOW + timedelta(hours=9))
    assert (line.state, line.fps, line.causes) == (State.OFFLINE, None, ())
    assert line.permits == ()  # over by then


def test_figures_of_the_delivery():
    line = well(spool=17, dropped={"full": 3, "expired": 2}).line()
    assert (line.waiting, line.lost, line.state) == (17, 5, State.WELL)


def test_certificates_that_end():
    left = well().line().certificate_days
    line = well().line(now=NOW + timedelta(days=left - 10))
    assert (line.state, line.certificate_days) == (State.DEGRADED, 10)
    assert "renewal is overdue" in "; ".join(line.causes)
    assert well().line(now=NOW + timedelta(days=left - 30)).causes[-1] == f"its card is {left - 30} days old"
    assert well().line(now=NOW + timedelta(days=left + 1)).state == State.FAILING
    fleet = well()
    fleet.entries = {"cam-1": entry("cam-1", until=5.5)}  # the connection's, of which the camera says nothing
    assert (fleet.line().certificate_days, fleet.line().state) == (5, State.DEGRADED)


def test_the_inventory_knows_of_those_who_are_silent():
    fleet = well()
    fleet.entries = {
        "cam-1": entry("cam-1", label="Bridge, north", place="44.81 20.46"), "cam-3": entry("cam-3"),
        "cam-4": entry("cam-4", "new"), "cam-5": entry("cam-5", "revoked"), "cam-6": entry("cam-6", "retired"),
    }  # fmt: skip
    fleet.says("cam-2", "status", status(CAM_2))
    states = {camera: line.state for camera, line in fleet.lines().items()}
    assert states == {
        "cam-1": State.WELL, "cam-2": State.DEGRADED, "cam-3": State.UNHEARD, "cam-4": State.NEW,
        "cam-5": State.REVOKED,
    }  # fmt: skip
    assert fleet.line("cam-2").causes == ("not in the inventory",)
    assert (fleet.line().label, fleet.line().place) == ("Bridge, north", "44.81 20.46")
    fleet.says("cam-5", "status", status(pki.issue_signing(CA, "cam-5")))
    assert fleet.line("cam-5").state == State.FAILING  # revoked, and there all the same


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        ("status", status(STRANGER)), ("status", status(CAM_2)), ("status", status(pki.issue_connection(CA, "cam-1"))),
        ("card", signed_card(STRANGER, "cam-1", SECONDS, [GRANT])),
        ("card", signed_card(CAM_2, "cam-2", SECONDS, [GRANT])),
        ("card", signed_card(CAM_1, "cam-1", SECONDS, [GRANT]).replace(b'"signature":"', b'"signature":"A')),
    ],
    ids=["stranger's status", "another's status", "not for signing", "stranger's card", "another's card", "changed"],
)  # fmt: skip
def test_forged_statements_count_for_nothing_and_show(channel, payload):
    line = well().says("cam-1", channel, payload).line()
    assert line.state in (State.FAILING, State.DEGRADED)
    assert f"{channel} not believed" in "; ".join(line.causes)
    assert channel != "card" or line.permits == ()
    assert channel != "status" or line.online is None


HOSTILE = [
    b"", b"\xff\xfe", b"{}", b"[]", b"null", b"{" * 60_000, b"[" * 60_000, b'"' + b"x" * 60_000, bytes(70_000),
    b"1e999",
    b'{"state":"online","spool":99999999999999999999999999}', b'{"state":"online","spool":-1}',
    b'{"time":1e308,"state":"ok"}', b'{"time":0,"state":"ok","fps":1e11}', b'{"time":"now","state":"ok"}',
    b'{"time":0,"state":"ok","causes":[' + b'"x",' * 5000 + b'"x"]}', b'{"state":"' + b"a" * 400 + b'"}',
]  # fmt: skip
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066[red]x[/red]\r\n\t\u200b" + "Ω" * 400


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("channel", said.CHANNELS)
def test_nothing_breaks_on_what_is_no_statement(channel, payload):
    fleet = well().says("cam-1", channel, payload)
    shown = render([fleet.line()])
    assert "cam-1" in shown


def render(lines, width=170):
    console = Console(width=width, height=40, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(board.table(View(lines, lines, NOW), "Test\x1b[2J", width, 30))
    return console.file.getvalue()


def test_no_text_of_a_camera_steers_the_terminal():
    fleet = Fleet({"cam-1": entry("cam-1")})
    texts = {"since": EVIL[:400], "version": EVIL[:400], "trouble": EVIL[:400]}
    fleet.says("cam-1", "status", status(CAM_1, dropped={EVIL[:400]: 2**62}, spool=2**63 - 1, **texts))
    fleet.says("cam-1", "health", health(SECONDS, state="failing", causes=[EVIL[:400]] * 64, fps=-1e6))
    fleet.says("cam-1", "update", json.dumps(dict.fromkeys(("state", "version", "slot", "cause"), EVIL[:400])).encode())
    line = fleet.line()
    for width in (40, 80, 120, 170, 400):
        shown = render([line], width)
        odd = {character for character in shown if unicodedata.category(character)[0] == "C"} - {"\n"}
        assert odd == set(), width
        assert max(map(len, shown.splitlines())) <= width
    assert "[red]" in render([line], 400)  # markup is text
    assert len(shown.splitlines()) < 60
    assert "\x1b" not in json.dumps(board.as_builtins(line))
    svg = board.picture(board.table(View([line], [line], NOW), "Test", 160, 5), 160, EVIL)
    assert "\x1b" not in svg
    assert "<red>" not in svg
    assert "url(" not in svg.replace("url(#", "")  # whoever opens it calls nobody


@pytest.mark.parametrize(
    "topic",
    ["vidik/v1/Cam/status", "vidik/v1//status", "vidik/v1/a/b/status", "vidik/v2/cam-1/status", "vidik/v1/cam-1/plate",
     "status", "", "vidik/v1/" + "x" * 40 + "/status", "vidik/v1/\x1b/status"],
)  # fmt: skip
def test_topics_that_are_no_camera_s_are_left_out(topic):
    fleet = Fleet()
    fleet.statements.take(topic, status(CAM_1))
    assert fleet.lines() == {}


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(said, "MOST", 10)
    fleet = Fleet()
    for number in range(50):
        for _ in range(100):
            fleet.says(f"cam-{number}", "update", b'{"state":"current"}')
    assert len(fleet.lines()) == 10


def test_what_was_cleared_is_gone():
    line = well().says("cam-1", "card", b"").line()
    assert (line.permits, line.causes) == ((), ())


def test_filters_orders_and_counts():
    fleet = well()
    fleet.entries = {"cam-1": entry("cam-1", label="Bridge"), "cam-3": entry("cam-3", label="Tunnel", place="Šabac")}
    lines = list(fleet.lines().values())
    assert [line.camera for line in lines] == ["cam-3", "cam-1"]  # the worst first
    assert [line.camera for line in judge.ordered(lines, Order.NAME)] == ["cam-1", "cam-3"]
    assert [line.camera for line in judge.ordered(lines, Order.FPS)] == ["cam-1", "cam-3"]
    assert [line.camera for line in judge.ordered(lines, Order.CERTIFICATE)] == ["cam-1", "cam-3"]
    assert [line.camera for line in judge.chosen(lines, [State.UNHEARD], "")] == ["cam-3"]
    assert [line.camera for line in judge.chosen(lines, [], "šABAC")] == ["cam-3"]
    assert [line.camera for line in judge.chosen(lines, [], "bridge")] == ["cam-1"]
    assert judge.chosen(lines, [State.WELL], "tunnel") == []
    assert judge.counts(lines) == {"unheard": 1, "well": 1}


def test_a_screen_too_small_says_how_many_are_left():
    lines = [
        judge.line(f"cam-{number}", Said(), entry(f"cam-{number}"), NOW, listed=True) for number in range(100)
    ]  # fmt: skip
    console = Console(width=100, file=io.StringIO())
    console.print(board.table(View(lines, lines, NOW), "Test", 100, 5))
    assert "95 more" in console.file.getvalue()
