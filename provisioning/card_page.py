"""The public page of a camera: one static HTML file, rendered from its card, without scripts or anything fetched.

Whatever a card says is escaped: its texts come from outside.
"""

from __future__ import annotations

import html
import re

from edge.card import Allowed, Card, moment
from edge.grant import words
from edge.grant.words import Language

_STYLE = """
body{margin:0 auto;max-width:44rem;padding:1rem;font:1.125rem/1.5 system-ui,sans-serif;color:#111;background:#fff}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.25rem;border-top:3px solid #111;padding-top:.75rem;margin-top:2rem}
dt{font-weight:700;margin-top:.6rem}dd{margin:0;overflow-wrap:anywhere}
.state{border:3px solid #111;padding:.75rem;font-weight:700}code{font-size:.85rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #555;padding:.35rem;text-align:left}
td:last-child{text-align:right}a{color:#00308f}
@media(prefers-color-scheme:dark){body{color:#fff;background:#000}h2,.state{border-color:#fff}a{color:#9ecbff}}
"""

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Street camera {camera}",
        "silent": "This camera reports nothing now: no authorisation is in force.",
        "active": "This camera may report now, within the limits below:",
        "pixels": "Pictures never leave the camera. It reports licence plates or sought persons only where an "
        "authorisation allows it, encrypted to the recipients that the authorisation names.",
        "grant": "Authorisation {id}", "authority": "Authority", "basis": "Legal basis", "purpose": "Purpose",
        "reference": "Reference", "from": "From", "until": "Until", "hours": "Daily hours",
        "triggers": "Only when these rules are tripped", "retention": "A report exists for at most",
        "recipients": "Number of recipients", "serial": "Version",
        "counts": "What became of everything it saw", "day": "On {day} (UTC)", "seen": "seen", "reported": "reported",
        "discarded": "discarded", "software": "Software", "models": "Neural networks and their SHA-256",
        "audit": "Audit log", "entries": "entry {number}, hash {hash}",
        "issued": "Stated by the camera on {time}, with its signature.",
        "check": "Check this yourself: fetch the signed card and run vidik card verify.",
        "card": "Signed card", "plate": "plates", "face": "faces", "none": "nothing", "label": "Camera {camera}",
        "scan": "Who ordered it, what for, until when: scan this.",
    },
    "sr": {
        "title": "Ulična kamera {camera}",
        "silent": "Ova kamera sada ne prijavljuje ništa: nijedno odobrenje nije na snazi.",
        "active": "Ova kamera sada sme da prijavljuje, u sledećim granicama:",
        "pixels": "Slike nikada ne napuštaju kameru. Ona prijavljuje registarske tablice ili tražene osobe samo kada "
        "to odobrenje dozvoljava, šifrovano za primaoce koje odobrenje navodi.",
        "grant": "Odobrenje {id}", "authority": "Organ", "basis": "Pravni osnov", "purpose": "Svrha",
        "reference": "Predmet", "from": "Od", "until": "Do", "hours": "Sati u danu",
        "triggers": "Samo kada se ispuni neko od pravila", "retention": "Izveštaj postoji najduže",
        "recipients": "Broj primalaca", "serial": "Verzija",
        "counts": "Šta je bilo sa svim što je videla", "day": "Dana {day} (UTC)", "seen": "viđeno",
        "reported": "prijavljeno", "discarded": "odbačeno", "software": "Softver",
        "models": "Neuronske mreže i njihov SHA-256", "audit": "Dnevnik rada",
        "entries": "zapis {number}, heš {hash}", "issued": "Kamera je ovo izjavila {time} i potpisala.",
        "check": "Proverite sami: preuzmite potpisanu karticu i pokrenite vidik card verify.",
        "card": "Potpisana kartica", "plate": "tablice", "face": "lica", "none": "ništa", "label": "Kamera {camera}",
        "scan": "Ko je naredio, zašto i do kada: skenirajte.",
    },
}  # fmt: skip

# the gate's reasons, which a card gives in English
_REASONS = {
    "no grant": "nema odobrenja", "grant not yet valid": "odobrenje još ne važi",
    "grant expired": "odobrenje je isteklo",
    "grant revoked": "odobrenje je povučeno", "grant superseded": "odobrenje je zamenjeno",
    "grant withdrawn": "odobrenje je uklonjeno", "trust file expired": "spisak potpisnika je istekao",
    "grant for another camera": "odobrenje za drugu kameru", "outside the grant's hours": "van sati iz odobrenja",
    "no trigger of the grant": "nijedno pravilo nije ispunjeno", "not listed": "nije na spisku",
    "unsure": "nedovoljno sigurno", "poor picture": "loša slika", "reported just before": "upravo prijavljeno",
    "clock not trustworthy": "nepouzdan sat",
    "no account can be kept": "dnevnik se ne može voditi",
}  # fmt: skip


def render(card: Card, language: Language = "en", card_address: str = "") -> str:
    """The page of ``card``. ``card_address`` is where the signed card can be fetched (https only), if anywhere."""
    say = _WORDS[language]
    title = _safe(say["title"].format(camera=card.camera))
    body = [
        f"<h1>{title}</h1>",
        f'<p class="state">{_safe(say["active"] if card.grants else say["silent"])}</p>',
        *(_grant(grant, language) for grant in card.grants),
        f"<p>{_safe(say['pixels'])}</p>",
        _counters(card, language),
        f"<h2>{_safe(say['software'])}</h2><p>{_safe(card.software)}</p>",
        f"<h2>{_safe(say['models'])}</h2>",
        _list([(model.name, model.sha256) for model in card.models], code=True),
        f"<h2>{_safe(say['audit'])}</h2>",
        f"<p><code>{_safe(say['entries'].format(number=card.audit.number, hash=card.audit.hash))}</code></p>",
        f"<p>{_safe(say['issued'].format(time=_time(card.issued)))} {_safe(say['check'])}</p>",
    ]
    if re.fullmatch(r"https://[^\s\"<>]+", card_address):
        body.append(f'<p><a href="{_safe(card_address)}">{_safe(say["card"])}</a></p>')
    return (
        f'<!doctype html>\n<html lang="{"sr-Latn" if language == "sr" else "en"}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def sticker_words(camera: str, language: Language) -> tuple[str, str]:
    """What stands on the pole beside the code: the camera's name, and why to scan."""
    say = _WORDS[language]
    return say["label"].format(camera=camera), say["scan"]


def _grant(grant: Allowed, language: Language) -> str:
    say = _WORDS[language]
    rows = [
        (say["authority"], grant.authority),
        (say["basis"], grant.legal_basis),
        (say["purpose"], grant.purpose),
        (say["reference"], grant.reference),
        (say["from"], _time(grant.not_before)),
        (say["until"], _time(grant.not_after)),
        (say["hours"], words.hours(grant.hours, language)),
        (say["retention"], words.duration(grant.retention, language)),
        (say["recipients"], str(grant.recipients)),
        (say["serial"], str(grant.serial)),
    ]
    if grant.triggers:
        rows.insert(7, (say["triggers"], ", ".join(grant.triggers)))
    heading = _safe(say["grant"].format(id=grant.id))
    allowed = _safe(words.what(grant.function, grant.scope, language))
    return f"<h2>{heading}</h2><p><strong>{allowed}</strong></p>{_list(rows)}"


def _counters(card: Card, language: Language) -> str:
    say = _WORDS[language]
    if card.counters is None:
        return ""
    rows = []
    for kind in ("seen", "reported", "discarded"):
        counts: dict[str, int] = getattr(card.counters, kind)
        for name, count in sorted(counts.items()):
            reason = _REASONS.get(name, name) if language == "sr" else name
            what = _safe(say.get(name, reason))
            rows.append(f"<tr><td>{_safe(say[kind])}: {what}</td><td>{count}</td></tr>")
    day = say["day"].format(day=_time(card.counters.begin)[:10])
    table = f"<table>{''.join(rows)}</table>" if rows else f"<p>{_safe(say['none'])}</p>"
    return f"<h2>{_safe(say['counts'])}</h2><p>{_safe(day)}</p>{table}"


def _list(rows: list[tuple[str, str]], code: bool = False) -> str:
    tags = ("<code>", "</code>") if code else ("", "")
    items = [
        f"<dt>{_safe(label)}</dt><dd>{tags[0]}{_safe(text)}{tags[1]}</dd>"
        for label, text in rows
    ]
    return f"<dl>{''.join(items)}</dl>"


def _safe(text: str) -> str:
    """``text`` as it may stand in HTML, whoever wrote it."""
    return html.escape(words.plain(text))


def _time(text: str) -> str:
    return words.when(int(moment(text).timestamp()))
