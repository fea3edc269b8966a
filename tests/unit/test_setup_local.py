"""Who is near enough for the setup page, and what is turned away at once."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import ifaddr
import pytest

from edge.setup import local
from edge.setup.guard import HEADERS, LARGEST, POLICY, Guard
from edge.setup.local import NotLocal, Place

PLACES = [
    Place(ipaddress.ip_interface("192.168.7.1/24")),
    Place(ipaddress.ip_interface("169.254.10.20/16")),
    Place(ipaddress.ip_interface("fe80::1/64"), 3),
]
PORT = 8443
HOST = "192.168.7.1:8443"
HERE = {"host": HOST}
POSTED = HERE | {"origin": f"https://{HOST}", "sec-fetch-site": "same-origin"}


async def no_app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the page was reached")


def verdict(peer: str = "192.168.7.33", method: str = "GET", **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Guard(no_app, PLACES, PORT).verdict(peer, method, given)


@pytest.mark.parametrize(
    "peer", ["192.168.7.33", "169.254.0.1", "fe80::abcd", "fe80::abcd%eth0", "::ffff:192.168.7.33"]
)
def test_who_is_on_the_link_is_near(peer: str) -> None:
    assert verdict(peer, host=HOST) == 0


@pytest.mark.parametrize(
    "peer",
    [
        "8.8.8.8", "192.168.8.33", "10.0.0.1", "127.0.0.1", "::1", "2001:db8::1", "fe81::1", "::ffff:8.8.8.8", "", "x",
        "100.64.0.1",
    ],
)  # fmt: skip
def test_who_is_elsewhere_is_refused(peer: str) -> None:
    assert verdict(peer, host=HOST) == 403


def test_an_address_of_the_internet_is_never_near_even_on_the_same_link() -> None:
    places = [Place(ipaddress.ip_interface(one)) for one in ("203.0.113.1/24", "100.64.0.1/10", "8.8.8.1/24")]
    for peer in ("203.0.113.2", "100.64.0.2", "8.8.8.8"):
        assert not local.is_near(peer, places)


@pytest.mark.parametrize(
    "host",
    ["", "192.168.7.1", "evil.example:8443", "localhost:8443", "192.168.7.1:443", "192.168.7.2:8443", "vidik.local"],
)
def test_a_name_that_is_not_our_address_is_refused(host: str) -> None:
    assert verdict(host=host) == 421


def test_every_address_of_ours_is_a_name_for_us() -> None:
    for host in ("192.168.7.1:8443", "169.254.10.20:8443", "[fe80::1]:8443"):
        assert verdict(host=host) == 0
    assert "192.168.7.1" in local.names(PLACES, 443)
    assert "localhost:8443" in local.names([Place(ipaddress.ip_interface("127.0.0.1/8"))], PORT)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": f"http://{HOST}"}, {"origin": ""},
        {"origin": "https://192.168.7.1"}, {"origin": "https://192.168.7.1:8443.evil.example"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
    ],
)  # fmt: skip
def test_a_change_that_another_site_asks_for_is_refused(changed: dict[str, str]) -> None:
    guard = Guard(no_app, PLACES, PORT)
    assert guard.verdict("192.168.7.33", "POST", POSTED) == 0
    assert guard.verdict("192.168.7.33", "POST", POSTED | changed) == 403
    without = {name: value for name, value in POSTED.items() if name != "origin"}
    assert guard.verdict("192.168.7.33", "POST", without) == 403


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("none", 0), ("same-origin", 0)])
def test_what_another_site_embeds_is_refused(site: str, status: int) -> None:
    assert Guard(no_app, PLACES, PORT).verdict("192.168.7.33", "GET", HERE | {"sec-fetch-site": site}) == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "get"])
def test_other_methods_are_refused(method: str) -> None:
    assert verdict(method=method, host=HOST) == 405


@pytest.mark.parametrize("length", [str(LARGEST + 1), "-1", "1e3", "²", "", "9" * 400])
def test_a_body_of_impossible_length_is_refused(length: str) -> None:
    assert Guard(no_app, PLACES, PORT).verdict("192.168.7.33", "POST", POSTED | {"content-length": length}) == 413


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert {name.decode() for name, _ in HEADERS} >= {
        "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control",
    }  # fmt: skip


def test_the_loopback_is_served_only_where_it_is_asked_for() -> None:
    (place,) = [place for place in local.on(["lo"]) if place.interface.version == 4]
    assert place.host == "127.0.0.1"
    with pytest.raises(NotLocal, match="no network interface eth99"):
        local.on(["eth99"])
    assert all(not place.interface.ip.is_loopback for place in local.on(None))


def test_an_address_of_the_internet_is_never_served_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ips = [
        ifaddr.IP("203.0.113.1", 24, "eth0"), ifaddr.IP(("2001:db8::1", 0, 0), 64, "eth0"),
        ifaddr.IP("10.1.2.3", 8, "eth0"), ifaddr.IP(("fe80::1", 0, 3), 64, "eth0"),
    ]  # fmt: skip
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [ifaddr.Adapter("eth0", "eth0", ips[:2])])
    assert local.on(None) == []  # a cable may come
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [ifaddr.Adapter("eth0", "eth0", ips)])
    assert [(place.host, place.scope) for place in local.on(None)] == [("10.1.2.3", 0), ("fe80::1", 3)]


def test_the_image_s_network_takes_the_address_that_is_on_the_label() -> None:
    path = Path(__file__).parents[2] / "image-build/generic/files/etc/systemd/network/80-ethernet.network"
    settings = path.read_text().splitlines()
    assert {f"IPv4LLStartAddress={local.FIRST}", "LinkLocalAddressing=yes", "DHCP=yes"} <= set(settings)
    for guide in ("docs/setup.md", "docs/setup.sr.md"):
        assert f"`https://{local.FIRST}:{local.PORT}`" in (Path(__file__).parents[2] / guide).read_text()
