"""Plane geometry of lines and polygons, in plain floats. No I/O, no state.

Points are ``(x, y)``; in pictures x goes to the right and y down, so *right* of a line from ``a`` to ``b`` is the side
on the right hand of somebody who walks from ``a`` to ``b`` over the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

Point = tuple[float, float]

_STRAIGHT = 0.02  # height over longest side below which a triangle counts as a line


def side(a: Point, b: Point, p: Point) -> float:
    """The signed distance of ``p`` from the endless line through ``a`` and ``b``: positive to its right."""
    along_x, along_y = b[0] - a[0], b[1] - a[1]
    return (along_x * (p[1] - a[1]) - along_y * (p[0] - a[0])) / math.hypot(along_x, along_y)


def share_along(a: Point, b: Point, p: Point) -> float:
    """Where along ``a`` to ``b`` the foot of ``p`` lies: 0 at ``a``, 1 at ``b``."""
    along_x, along_y = b[0] - a[0], b[1] - a[1]
    return ((p[0] - a[0]) * along_x + (p[1] - a[1]) * along_y) / (along_x**2 + along_y**2)


def depth(polygon: Sequence[Point], p: Point) -> float:
    """The signed distance of ``p`` from the edge of ``polygon``: positive inside, negative outside."""
    x, y = p
    inside, nearest = False, math.inf
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        dx, dy = x1 - x0, y1 - y0
        if (y0 > y) != (y1 > y) and x < x0 + dx * (y - y0) / dy:
            inside = not inside
        along = min(1.0, max(0.0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)))
        nearest = min(nearest, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2)
        x0, y0 = x1, y1
    return math.sqrt(nearest) if inside else -math.sqrt(nearest)


def area(polygon: Sequence[Point]) -> float:
    """The area of a simple polygon."""
    turned = [polygon[-1], *polygon[:-1]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(turned, polygon, strict=True))) / 2


def crosses_itself(polygon: Sequence[Point]) -> bool:
    """Whether two sides of ``polygon`` meet other than neighbours in their shared corner."""
    sides = list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))
    for (i, one), (j, other) in combinations(enumerate(sides), 2):
        neighbours = j - i == 1 or j - i == len(sides) - 1
        if not neighbours and _meet(*one, *other):
            return True
        if neighbours and _folds_back(*one, *other):
            return True
    return False


def nearly_collinear(points: Sequence[Point]) -> bool:
    """Whether any three of ``points`` lie on one line, or so nearly that nothing can be measured by them."""
    for a, b, c in combinations(points, 3):
        longest = max(math.dist(a, b), math.dist(b, c), math.dist(a, c))
        if longest == 0 or 2 * area((a, b, c)) < _STRAIGHT * longest**2:
            return True
    return False


def is_convex(polygon: Sequence[Point]) -> bool:
    """Whether ``polygon`` turns the same way at every corner and only once around."""
    triples = zip(polygon, [*polygon[1:], polygon[0]], [*polygon[2:], *polygon[:2]], strict=True)
    turns = [_turn(a, b, c) for a, b, c in triples]
    return (all(t > 0 for t in turns) or all(t < 0 for t in turns)) and not crosses_itself(polygon)


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the segments ``a b`` and ``c d`` share a point."""
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _between(*end) for turn, end in zip(turns, ends, strict=True))


def _between(a: Point, b: Point, p: Point) -> bool:
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])


def _folds_back(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether neighbouring sides, which share a corner, run over each other."""
    if b == c:
        start, shared, end = a, b, d
    else:
        start, shared, end = b, a, c
    if _turn(start, shared, end) != 0:
        return False
    return (start[0] - shared[0]) * (end[0] - shared[0]) + (start[1] - shared[1]) * (end[1] - shared[1]) > 0
