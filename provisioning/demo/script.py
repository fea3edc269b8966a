"""The default scene: who drives and walks through the street, and when."""

from __future__ import annotations

from provisioning.demo.actors import Car, Path, Post, Scene, Walker

_ONCOMING, _AWAY, _PARKED = -1.95, -3.75, -5.6  # x of the lanes, in metres


def default() -> Scene:
    """24 seconds: eight plates, of which one stays too small to read, and two persons.

    One car stands parked throughout and is hidden now and then by others; one is passed while it waits;
    every oncoming plate passes behind the lamp post. The van's telephone number, the taxi's number, the
    dealer's name under a plate and the shop signs are there to be ignored.
    """
    return Scene(24.0, 15.0, (*_oncoming(), *_going_away(), *_on_foot(), Post(-0.98, 7.0)))


def _oncoming() -> tuple[Car, ...]:
    x = _ONCOMING
    first = Path(((0.0, x, 21.5), (4.0, x, 5.5), (7.0, x, -6.0)))
    van = Path(((0.5, x, 50.0), (5.2, x, 26.0), (9.2, x, 8.6), (12.5, x, -6.0)))
    waits_for_taxi = Path(
        ((8.0, x, 78.0), (12.0, x, 48.0), (14.2, x, 40.0), (16.9, x, 38.0), (19.0, x, 27.0), (21.9, x, 10.5),
         (25.0, x, -5.0))
    )  # fmt: skip
    return (
        Car("BG 1847-KT", "hatchback", (34, 72, 132), first, True, dealer="AUTO KUĆA NOVAK"),
        Car("NS 318-VU", "van", (232, 232, 228), van, True, side_text="MAJSTOR 065 123-456", badge="diamond"),
        Car("ŠA 052-HN", "saloon", (52, 88, 70), waits_for_taxi, True, badge="star", dealer="PLAC ŠABAC"),
    )


def _going_away() -> tuple[Car, ...]:
    x = _AWAY
    parked = Path(((0.0, _PARKED, 11.4),))
    far = Path(((0.0, x, 22.0), (3.0, x, 36.0), (9.0, x, 86.0)))
    stops_at_crossing = Path(
        ((3.0, x, -4.0), (5.4, x, 7.0), (7.6, x, 13.8), (9.6, x, 18.5), (12.0, x, 19.0), (14.8, x, 19.0),
         (15.8, x, 19.1), (18.0, x, 24.5), (20.5, x, 37.0), (25.0, x, 66.0))
    )  # fmt: skip
    taxi_overtakes = Path(
        ((10.0, x, -5.0), (12.4, x + 0.1, 6.5), (13.4, -2.8, 11.0), (14.1, -1.92, 14.8), (15.1, -1.92, 20.5),
         (15.9, -2.1, 25.5), (16.9, x - 0.05, 31.0), (22.5, x, 66.0))
    )  # fmt: skip
    last = Path(((16.2, x, -4.0), (18.6, x, 7.0), (20.8, x, 15.5), (25.0, x, 37.0)))
    return (
        Car("PA 112-KD", "saloon", (112, 116, 122), parked, False, badge="star"),
        Car("SU 045-LM", "hatchback", (86, 30, 34), far, False),
        Car("NI 206-FD", "hatchback", (168, 34, 36), stops_at_crossing, False, badge="diamond", dealer="NIŠ AUTO"),
        Car("BG 2093-TX", "saloon", (226, 222, 214), taxi_overtakes, False, side_text="TAXI 9801", taxi=True),
        Car("KG 119-ZX", "hatchback", (58, 60, 66), last, False, dealer="ŠUMADIJA AUTO"),
    )


def _on_foot() -> tuple[Walker, ...]:
    """Hopper comes out of a door on the right and walks behind Collins; the others show their backs or their hoods."""
    collins = Path(((0.0, -0.62, 14.2), (3.0, -0.55, 10.4), (7.0, -0.62, 5.4), (9.8, -0.55, 1.9)))
    hopper = Path(((6.6, 0.62, 8.2), (8.2, -0.35, 7.4), (9.6, -0.62, 5.9), (13.4, -0.5, 1.6)))
    crossing = Path(((8.6, -7.6, 26.8), (13.6, -0.6, 26.6), (16.0, 0.7, 25.8)))
    across_the_road = Path(((0.0, -7.7, 15.5), (12.0, -7.6, 30.0), (24.5, -7.7, 45.0)))
    going_home = Path(((13.0, -0.3, 0.9), (18.0, -0.5, 7.0), (24.5, -0.55, 14.6)))
    return (
        Walker(collins, (156, 64, 40), (52, 56, 68), "collins", 1.72, collar=(26, 26, 30)),
        Walker(hopper, (36, 42, 62), (40, 42, 52), "hopper", 1.68, collar=(236, 236, 232)),
        Walker(crossing, (104, 98, 60), (44, 46, 52), tall=1.8, hood=(96, 90, 54)),
        Walker(across_the_road, (70, 84, 96), (58, 50, 44), tall=1.76, hood=(64, 78, 90)),
        Walker(going_home, (48, 74, 62), (66, 62, 58), tall=1.78, hood=(44, 68, 57)),
    )
