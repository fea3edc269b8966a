"""A grant in plain words: what people read before they sign. Pure functions, English and Serbian (Latin)."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from edge.grant.document import Grant, Revocation

Language = Literal["en", "sr"]
LANGUAGES: tuple[Language, ...] = ("en", "sr")
_NAMED = 12  # cameras and entries said by name; more are counted
_LONG_DAYS = 31

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "what": "What", "whom": "Sought", "where": "Where", "from": "From", "until": "Until", "hours": "Hours",
        "triggers": "Only when", "recipients": "Reports go to", "retention": "Reports exist for",
        "authority": "Authority", "basis": "Legal basis", "purpose": "Purpose", "reference": "Reference",
        "id": "Grant", "serial": "serial", "warning": "Beware", "revokes": "Takes back", "reason": "Reason",
        "faces listed": "Recognise the faces of the sought persons below, and report nobody else.",
        "faces open": "Report the faces of EVERYBODY who passes, sought or not.",
        "plates listed": "Report the licence plates on its list, and no others.",
        "plates open": "Report the licence plates of ALL vehicles.",
        "in all": "{names} ({count} in all)", "plates": "{count} on the list", "always": "all day", "key": "key",
        "hybrid key": "post-quantum key", "and others": "and {count} more",
        "days": "{count} days", "duration hours": "{count} hours", "minutes": "{count} minutes",
        "weak": "A similarity of {value} is enough to take somebody for {entry}.",
        "open": "This is not limited to sought persons or vehicles.",
        "long": "It runs for {days} days.",
        "many": "Several recipients will be able to read every report.",
        "empty": "Its list is empty: nothing will be reported.",
        "up to": "all its versions up to serial {serial}",
    },
    "sr": {
        "what": "Šta", "whom": "Traže se", "where": "Gde", "from": "Od", "until": "Do", "hours": "Sati",
        "triggers": "Samo kada", "recipients": "Izveštaje prima", "retention": "Izveštaj postoji",
        "authority": "Organ", "basis": "Pravni osnov", "purpose": "Svrha", "reference": "Predmet",
        "id": "Odobrenje", "serial": "redni broj", "warning": "Pažnja", "revokes": "Povlači se", "reason": "Razlog",
        "faces listed": "Prepoznaje lica traženih osoba navedenih ispod i ne prijavljuje nikog drugog.",
        "faces open": "Prijavljuje lica SVIH prolaznika, traženih ili ne.",
        "plates listed": "Prijavljuje registarske tablice sa svog spiska i nijednu drugu.",
        "plates open": "Prijavljuje registarske tablice SVIH vozila.",
        "in all": "{names} (ukupno {count})", "plates": "na spisku {count}", "always": "ceo dan", "key": "ključ",
        "hybrid key": "postkvantni ključ", "and others": "i još {count}",
        "days": "dana: {count}", "duration hours": "sati: {count}", "minutes": "minuta: {count}",
        "weak": "Sličnost od {value} dovoljna je da se neko smatra osobom {entry}.",
        "open": "Nije ograničeno na tražene osobe ili vozila.",
        "long": "Važi {days} dana.",
        "many": "Više primalaca moći će da čita svaki izveštaj.",
        "empty": "Spisak je prazan: ništa neće biti prijavljeno.",
        "up to": "sve njegove verzije do rednog broja {serial}",
    },
}  # fmt: skip


class Line(NamedTuple):
    """One fact about a grant: what it is about, and what the grant says there."""

    label: str
    text: str


def describe(grant: Grant, language: Language = "en", weak_below: float = 0.9) -> list[Line]:
    """Everything that ``grant`` allows, in the order in which people ask; what deserves a second look comes last.

    Listed faces with a threshold under ``weak_below`` are such. Texts of the grant have no control characters
    or marks that change the direction of writing left in them.
    """
    words = _WORDS[language]
    lines = [
        Line(words["id"], f"{plain(grant.id)}, {words['serial']} {grant.serial}"),
        Line(words["what"], what(grant.function, grant.scope, language)),
        *_sought(grant, words),
        Line(words["where"], _some(grant.cameras, words)),
        Line(words["from"], when(grant.not_before)),
        Line(words["until"], f"{when(grant.not_after)} ({duration(grant.not_after - grant.not_before, language)})"),
        Line(words["hours"], hours(grant.hours, language)),
    ]
    if grant.triggers:
        lines.append(Line(words["triggers"], ", ".join(map(plain, grant.triggers))))
    lines += [
        Line(words["recipients"], ", ".join(_recipient(raw, words) for raw in grant.recipients)),
        Line(words["retention"], duration(grant.retention, language)),
        Line(words["authority"], plain(grant.authority)),
        Line(words["basis"], plain(grant.legal_basis)),
        Line(words["purpose"], plain(grant.purpose)),
        Line(words["reference"], plain(grant.reference)),
    ]
    return lines + [Line(words["warning"], text) for text in _warnings(grant, words, weak_below)]


def describe_revocation(revocation: Revocation, language: Language = "en") -> list[Line]:
    """What ``revocation`` takes back."""
    words = _WORDS[language]
    versions = words["up to"].format(serial=revocation.serial)
    return [
        Line(words["revokes"], f"{plain(revocation.grant)}, {versions}"),
        Line(words["reason"], plain(revocation.reason)),
        Line(words["from"], when(revocation.time)),
    ]


def what(function: str, scope: str, language: Language = "en") -> str:
    """What a camera does under a grant for ``function`` and ``scope``."""
    return _WORDS[language][f"{function} {scope}"]


def when(seconds: int) -> str:
    """A time, seconds since the epoch, as people write it; always UTC, and says so."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: int, language: Language = "en") -> str:
    """A length of time in its largest fitting unit, rounded up so that it never sounds shorter than it is."""
    words = _WORDS[language]
    for size, unit in ((86400, "days"), (3600, "duration hours")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return _counted(words[unit], -(-seconds // size))
    return _counted(words["minutes"], -(-seconds // 60))


def _counted(phrase: str, count: int) -> str:
    said = phrase.format(count=count)
    return said.removesuffix("s") if count == 1 else said  # only English phrases end so


def hours(windows: Sequence[tuple[int, int]], language: Language = "en") -> str:
    """Daily windows in minutes since midnight, UTC."""
    if not windows:
        return _WORDS[language]["always"]
    return ", ".join(f"{a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in windows) + " UTC"


def plain(text: str) -> str:
    """``text`` without control and formatting characters, which could make a screen show something else."""
    return "".join("\ufffd" if unicodedata.category(character)[0] == "C" else character for character in text)


def table(lines: Sequence[Line]) -> str:
    """``lines`` under each other, labels to the left."""
    width = max(len(line.label) for line in lines) + 2
    return "\n".join(f"{line.label + ':':<{width}}{line.text}" for line in lines)


def _sought(grant: Grant, words: dict[str, str]) -> list[Line]:
    if grant.scope == "open":
        return []
    if grant.function == "plates":
        return [Line(words["whom"], words["plates"].format(count=len(grant.plates)))]
    return [Line(words["whom"], _some(tuple(face.entry for face in grant.faces), words))]


def _some(names: Sequence[str], words: dict[str, str]) -> str:
    said = [plain(name) for name in names[:_NAMED]]
    if len(names) > _NAMED:
        said.append(words["and others"].format(count=len(names) - _NAMED))
    return words["in all"].format(names=", ".join(said), count=len(names))


def _recipient(raw: bytes, words: dict[str, str]) -> str:
    return f"{words['key' if len(raw) == 32 else 'hybrid key']} {fingerprint(raw)}"


def fingerprint(raw: bytes) -> str:
    """How a recipient's raw public key is told from others, when people compare it over the telephone."""
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return "-".join(digest[at : at + 4] for at in range(0, 16, 4))


def _warnings(grant: Grant, words: dict[str, str], weak_below: float) -> list[str]:
    days = -(-(grant.not_after - grant.not_before) // 86400)
    listed = grant.scope == "listed"
    found = [
        (not listed, words["open"]),
        (days > _LONG_DAYS, words["long"].format(days=days)),
        (len(grant.recipients) > 1, words["many"]),
        (listed and not grant.faces and not grant.plates, words["empty"]),
    ]
    weak = [face for face in grant.faces if face.threshold < weak_below]
    told = [words["weak"].format(value=face.threshold, entry=plain(face.entry)) for face in weak]
    return [text for applies, text in found if applies] + told
