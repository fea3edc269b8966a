"""How the countries of Europe write their plates, and what that says about a text that was read.

Nothing here decides what a plate may say: a text that fits no country only counts as less likely.

Patterns, one per form of plate: ``#`` a digit, ``@`` a letter of the country's serials, ``&`` a letter of its
whole alphabet, ``%`` digit or letter, ``~`` an area code; ``*`` room for an emblem or seal, space a gap,
``-`` and ``.`` the printed signs, ``/`` the next row. Everything else stands for itself. Forms and codes are
the facts of the national registration rules; their weights are estimates of how common they are.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SERBIAN = "ABCDEFGHIJKLMNOPRSTUVZČĆĐŠŽ"
DIGITS = "0123456789"
SIGNS = "*-. /"
_KNOWN_AREA = 0.97  # share of plates with an area code of the list: lists grow old
_ANY = 0.03  # share of plates that follow no form of the table
_EVERY = len(DIGITS + LATIN) + 5


@dataclass(frozen=True)
class Country:
    """How a country's plates are written; ``forms`` are (weight, pattern, kind of plate)."""

    forms: tuple[tuple[float, str, str], ...]
    letters: str = LATIN
    alphabet: str = LATIN
    areas: tuple[str, ...] = ()
    weight: float = 1.0
    band: str = ""


def _areas(codes: str) -> tuple[str, ...]:
    return tuple(codes.split())


_RS_AREAS = _areas(
    "AC AL AR BB BČ BG BO BP BT BU ČA ĆU DE ĐA GL GM IC IN JA KA KC KG KI KL KM KO KŠ KV KŽ LB LE LO LU NG NI NP "
    "NS NV PA PB PE PI PK PN PO PP PR PT PŽ PZ RA RU ŠA ŠI SA SC SD SJ SM SO SP ST SU SV TO TS TT UB UE UR VA VB "
    "VL VP VR VS VŠ ZA ZR"
)
_HR_AREAS = _areas(
    "BJ BM ČK DA DE DJ DU GS IM KA KC KR KT KŽ MA NA NG OG OS PU PŽ RI SB SI SK SL ST ŠI VK VT VU VŽ ZD ZG ŽU"
)
_ME_AREAS = _areas(
    "AN BA BD BP BR CT DG GS HN KL KO MK NK PG PL PT PV RO ŠN TV TZ UL ŽB"
)
_MK_AREAS = _areas(
    "BE BT DB DE DH DK GE GV KA KI KO KP KR KS KU MB MK NE OH PE PP PS RA RE SK SN SR ST SU TE VA VE VI VV"
)
_SI_AREAS = _areas(
    "CE GO KK KP KR LJ MB MS NM PO SG"
)
_BG_AREAS = _areas(
    "A B BH BP BT C CA CB CC CH CM CO CT E EB EH H K KH M OB P PA PB PK PP T TX X Y"
)
_RO_AREAS = _areas(
    "AB AG AR BC BH BN BR BT BV BZ CJ CL CS CT CV DB DJ GJ GL GR HD HR IF IL IS MH MM MS NT OT PH SB SJ SM SV TL "
    "TM TR VL VN VS B"
)
_AT_AREAS = _areas(
    "AM B BA BL BM BN BR BZ DL DO E EF EU FB FE FF FK G GB GD GF GM GR GS GU HA HE HF HL HO I IL IM JE JO JU K KB "
    "KF KI KL KO KR KS KU L LA LB LE LF LI LL LN LZ MA MD ME MI MU MZ ND NK OP OW P PE PL RA RE RI RO S SB SD SE "
    "SL SO SP SV SW SZ TA TU UU VB VI VK VL VO W WB WE WL WN WO WT WU WY WZ ZE ZT ZW"
)
_SK_AREAS = _areas(
    "AA BA BB BJ BL BN BR BS BT BY CA DK DS DT GA GL HC HE IL KA KE KK KM KN KS LC LE LM LV MA MI ML MT MY NM NO "
    "NR NZ PB PD PE PK PN PO PP PT PU PX RA RK RS RV SA SB SC SE SI SK SL SN SO SP SV TN TO TR TS TT TV VK VT ZA "
    "ZC ZH ZM ZV"
)
_DE_AREAS = _areas(
    "A AA AB AC AM AN B BA BB BC BI BM BN BO BS BT C CB CE D DA DD DN DO DU E EF EL ER ERH ES F FB FD FFB FR FT G "
    "GE GI GL GM H HA HB HD HER HG HH HI HN HOM HRO HS HX IN J K KA KB KE KH KL KLE KN KO KS L LA LB LDK LEV LIP "
    "LU M MA MD ME MG MH MI MK MKK MS MTK MYK MZ N NE NMS NR OB OF OG OL OS P PB PF PI PS R RA RE RO RT RV S SB "
    "SHA SI SN SO SU SW TR TS UL UN V VS W WI WN WOB WU WW Z ZW"
)
_PL_AREAS = _areas(
    "BI BIA CB CBY CT CW DB DJ DL DW DWR EL EP EPA FG FZ GA GD GDA GS GWE KK KR KRA KN KT LU LUB LZ NE NO NOL OP "
    "OPO OK PO PZ PK PL RZ RJA RP SB SC SK SG SO SR ST SZ TK TKI TSA WA WB WD WE WF WI WN WP WPR WR WT WU WW WX "
    "WZ ZK ZS ZST ZKO"
)
_IT = "ABCDEFGHJKLMNPRSTVWXYZ"

COUNTRIES: dict[str, Country] = {
    "RS": Country(
        (
            (34, "~*###-@@", "car"), (16, "~*####-@@", "car"), (7, "~*###-&&", "car"), (3, "~*####-&&", "car"),
            (5, "~*###-TX", "car"), (5, "~*####-TX", "car"), (2, "~*%%%", "car"), (2, "~*%%%%", "car"),
            (2, "~*&&&&&", "car"), (2, "RPE*####", "temporary"), (1, "RPE*##-###", "temporary"),
            (3, "P ###-###", "police"), (3, "~*/##-@@", "agricultural"), (3, "~*/@@-###", "agricultural"),
            (3, "~*/###-@@", "square"), (3, "~*/@@-###", "square"), (2, "~*/###", "moped"), (2, "~*/@@-##", "moped"),
            (2, "~*##-@@", "moped"), (1, "##-@-###", "diplomatic"), (2, "~*###-@@", "oversize"),
        ),
        "ABCDEFGHIJKLMNOPRSTUVXZ", SERBIAN, _RS_AREAS, 16, "SRB",
    ),
    "HR": Country(
        ((6, "~*###-@@", "car"), (5, "~*####-@@", "car"), (3, "~*###-@", "car"), (3, "~*####-@", "car"),
         (1, "~*%%%%%%", "car"), (1.2, "~*/###-@@", "square"), (0.6, "~*/####-@", "square")),
        "ABCDEFGHIJKLMNOPRSTUVZ", SERBIAN, _HR_AREAS, 8, "HR",
    ),
    "BA": Country(
        ((8, "@##-@-###", "car"), (2, "###-@-###", "car"), (1, "TA-######", "car"), (1, "@##-@/###", "square")),
        "AEJKMOT", weight=4, band="BIH",
    ),
    "ME": Country(
        ((8, "~*@@###", "car"), (3, "~*@@ ###", "car"), (1, "~*/@@###", "square"), (1, "~*%%%%%", "car")),
        "ABCDEFGHIJKLMNOPRSTUVZ", SERBIAN, _ME_AREAS, 4, "MNE",
    ),
    "MK": Country(
        ((7, "~*####-@@", "car"), (3, "~*###-@@", "car"), (1, "~/####-@@", "square")),
        "ABCDEFGHIJKLMNOPRSTUVZX", areas=_MK_AREAS, weight=4, band="NMK",
    ),
    "SI": Country(
        ((5, "~*@@-###", "car"), (5, "~*##-@@@", "car"), (2, "~*@#-##@", "car"), (2, "~*##-@##", "car"),
         (1, "~*%%%%%", "car"), (1, "~*/@@-###", "square")),
        "ABCDEFGHIJKLMNOPRSTUVZXY", SERBIAN, _SI_AREAS, 4, "SLO",
    ),
    "BG": Country(
        ((8, "~ #### @@", "car"), (1, "~ ####/@@", "square"), (1, "~/#### @@", "square")),
        "ABCEHKMOPTXY", areas=_BG_AREAS, weight=4, band="BG",
    ),
    "RO": Country(
        ((5, "~ ## @@@", "car"), (4, "B ### @@@", "car"), (3, "B ## @@@", "car"), (1.5, "~ ######", "temporary"),
         (1, "~ ##/@@@", "square")),
        "ABCDEFGHIJKLMNOPRSTUVWXYZ", areas=_RO_AREAS, weight=6, band="RO",
    ),
    "HU": Country(
        ((6, "@@@-###", "car"), (5, "@@*@@-###", "car"), (1, "@@@/###", "square"), (1, "@@@-###", "yellow")),
        weight=4, band="H",
    ),
    "AT": Country(
        ((4, "~*### @@", "car"), (4, "~*#### @", "car"), (3, "~*##### @", "car"), (2, "~*### @@@", "car"),
         (1, "~*/### @@", "square"), (1, "~*@@@@ #", "car")),
        "ABCDEFGHIJKLMNOPRSTUVWXYZ", areas=_AT_AREAS, weight=4, band="A",
    ),
    "DE": Country(
        ((6, "~*@@ ###", "car"), (6, "~*@@ ####", "car"), (4, "~*@ ####", "car"), (3, "~*@ ###", "car"),
         (2, "~*@@ ##", "car"), (2, "~*@ ##", "car"), (1, "~*@@ ###E", "car"), (1, "~*@ ##H", "car"),
         (2, "~*/@@ ###", "square"), (1, "~*/@ ####", "square")),
        areas=_DE_AREAS, weight=9, band="D",
    ),
    "IT": Country(
        ((8, "@@*###@@", "car"), (3, "@@ ###@@", "car"), (1.5, "@@/###@@", "square"), (1, "@@###@@", "car")),
        _IT, weight=5, band="I",
    ),
    "SK": Country(
        ((9, "~*###@@", "car"), (2, "@@*###@@", "car"), (1, "~*%%%%%", "car"), (1, "~/###@@", "square")),
        areas=_SK_AREAS, weight=5, band="SK",
    ),
    "CZ": Country(
        ((5, "#@# ####", "car"), (5, "#@#*####", "car"), (3, "#@@*####", "car"), (1, "%%%%*%%%%", "car"),
         (1, "#@#/####", "square"), (1, "@@@ ##-##", "car")),
        "ABCEHJKLMPSTUZ", weight=6, band="CZ",
    ),
    "PL": Country(
        ((6, "~*#####", "car"), (4, "~*####@", "car"), (4, "~*###@@", "car"), (2, "~*#@###", "car"),
         (2, "~*@###", "car"), (2, "~*##@@", "car"), (1, "~*@##@@", "car"), (2, "~/#####", "square"),
         (1, "~*/###@@", "square")),
        "ACEFGHJKLMNPRSTUVWXY", areas=_PL_AREAS, weight=6, band="PL",
    ),
    "GB": Country(((6, "@@## @@@", "car"), (4, "@@## @@@", "yellow"), (2, "@@##/@@@", "square"),
                   (1, "@### @@@", "car")),
                  "ABCDEFGHJKLMNOPRSTUVWXYZ", weight=3, band="GB"),
    "FR": Country(((8, "@@-###-@@", "car"), (1, "@@-###/@@", "square"), (1, "### @@@ ##", "car")),
                  "ABCDEFGHJKLMNPQRSTVWXYZ", weight=3, band="F"),
    "ES": Country(((8, "#### @@@", "car"), (1, "####/@@@", "square"), (1, "@@-####-@", "plain")),
                  "BCDFGHJKLMNPRSTVWXYZ", weight=4, band="E"),
    "NL": Country(((3, "##-@@-@@", "yellow"), (3, "##-@@@-#", "yellow"), (3, "#-@@@-##", "yellow"),
                   (2, "@@-###-@", "yellow"), (1, "@-###-@@", "yellow"), (1, "@@-##-@@", "yellow")),
                  "BDFGHJKLNPRSTVXZ", weight=3, band="NL"),
    "BE": Country(((6, "#-@@@-###", "red ink"), (2, "@@@-###", "red ink"), (1, "#-@@@/###", "red ink")),
                  weight=2, band="B"),
    "CH": Country(((6, "@@*######", "plain"), (3, "@@*#####", "plain"), (1, "@@*/######", "plain")), weight=2),
    "SE": Country(((5, "@@@ ###", "car"), (3, "@@@ ##@", "car")), "ABCDEFGHJKLMNOPRSTUWXYZ", weight=1.5, band="S"),
    "NO": Country(((5, "@@ #####", "car"), (1, "@@/#####", "square")), weight=1, band="N"),
    "DK": Country(((5, "@@ ## ###", "red rim"), (1, "@@/## ###", "square")), weight=1, band="DK"),
    "FI": Country(((5, "@@@-###", "car"), (1, "@@@-##", "car")), weight=1, band="FIN"),
    "EE": Country(((5, "### @@@", "car"), (1, "###/@@@", "square")), weight=1, band="EST"),
    "LV": Country(((5, "@@-####", "car"), (1, "@@-###", "car")), weight=1, band="LV"),
    "LT": Country(((5, "@@@*###", "car"), (1, "@@@/###", "square")), weight=1, band="LT"),
    "PT": Country(((3, "##-@@-##", "car"), (3, "##-##-@@", "car"), (3, "@@ ## @@", "car")), weight=1.5, band="P"),
    "IE": Country(((5, "###-@-#####", "car"), (3, "##-@@-####", "car")), "CDGKLMORSTWXY", weight=0.7, band="IRL"),
    "GR": Country(((5, "@@@-####", "car"), (1, "@@@/####", "square")), "ABEHIKMNOPTXYZ", weight=1, band="GR"),
    "AL": Country(((5, "@@*###@@", "car"), (3, "@@ ### @@", "car")), weight=1, band="AL"),
    "XK": Country(((5, "##*###-@@", "car"),), "ABCDEFGHIJKLMNOPQRSTUVZ", weight=1, band="RKS"),
    "MD": Country(((5, "@@@ ###", "car"), (2, "@ @@ ###", "car")), weight=0.7, band="MD"),
    "UA": Country(((5, "@@####@@", "car"), (2, "@@ #### @@", "car")), "ABCEHIKMOPTX", weight=1, band="UA"),
    "TR": Country(((3, "## @@ ###", "car"), (3, "## @@@ ###", "car"), (2, "## @ ####", "car")), weight=1, band="TR"),
    "": Country(
        ((2, "%%%%", "car"), (3, "%%%%%", "car"), (4, "%%%%%%", "car"), (4, "%%%%%%%", "plain"),
         (2, "%%%%%%%%", "car"), (3, "%%%*%%%", "car"), (3, "%%-%%%%", "car"), (2, "&&&&&&", "car"),
         (2, "&&*&&&&", "car"), (3, "%%%/%%%", "square"), (2, "%%/%%%%", "square"), (2, "&&&/&&&&", "plain")),
        LATIN, LATIN + "ČĆĐŠŽ", weight=8,
    ),
}


@dataclass(frozen=True)
class _Form:
    country: str
    share: float  # of all plates, natural logarithm, with everything but the area code
    expression: re.Pattern[str]
    areas: frozenset[str]
    lengths: range  # of the texts it can match


def _form(name: str, rules: Country, share: float, pattern: str) -> _Form:
    groups = {"#": DIGITS, "@": rules.letters, "&": rules.alphabet, "%": DIGITS + rules.alphabet}
    expression, likely = "", math.log(share)
    fixed = sum(sign in groups or (sign not in SIGNS and sign != "~") for sign in pattern)
    lengths = range(fixed + 1, fixed + 4) if "~" in pattern else range(fixed, fixed + 1)
    for sign in pattern:
        if sign in groups:
            expression += f"[{groups[sign]}]"
            likely -= math.log(len(groups[sign]))
        elif sign == "~":
            expression += f"([{rules.alphabet}]{{1,3}})"
        elif sign not in SIGNS:
            expression += sign
    return _Form(name, likely, re.compile(expression), frozenset(rules.areas), lengths)


@cache
def _forms() -> tuple[_Form, ...]:
    named = {name: rules for name, rules in COUNTRIES.items() if name}
    total = sum(rules.weight for rules in named.values())
    forms = []
    for name, rules in named.items():
        weights = sum(form[0] for form in rules.forms)
        for weight, pattern, _ in rules.forms:
            share = (1 - _ANY) * rules.weight / total * weight / weights
            forms.append(_form(name, rules, share, pattern))
    return tuple(forms)


def _likely(form: _Form, text: str) -> float | None:
    """Natural logarithm of the share of all plates that are of ``form`` and say ``text``."""
    match = form.expression.fullmatch(text)
    if match is None:
        return None
    if not match.groups():
        return form.share
    area = match[1]
    if area in form.areas:
        return form.share + math.log(_KNOWN_AREA / len(form.areas))
    return form.share + math.log(1 - _KNOWN_AREA) - len(area) * math.log(len(LATIN))


@cache
def _forms_of(length: int) -> tuple[_Form, ...]:
    return tuple(form for form in _forms() if length in form.lengths)


@lru_cache(maxsize=4096)  # one vote asks several times, and the next one about much the same texts
def _shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for form in _forms_of(len(text)):
        likely = _likely(form, text)
        if likely is not None:
            shares[form.country] = shares.get(form.country, 0.0) + math.exp(likely)
    return shares


def prepare() -> None:
    """Makes what the other functions need, which takes some 20 ms: before anything waits for them."""
    _forms()


def log_share(text: str) -> float:
    """Natural logarithm of how large a share of plates says ``text``; finite for every text."""
    anything = _ANY * math.exp(-math.log(_EVERY) * len(text)) / 12
    return math.log(anything + sum(_shares(text).values()))


def follows_form(text: str) -> bool:
    """Whether ``text`` fits a form of some country, with an area code that is known if the form has one."""
    return log_share(text) > math.log(_ANY) - math.log(_EVERY) * len(text) + 2.0


def country_of(text: str, at_least: float = 0.7) -> str:
    """The country (alpha-2) whose plate ``text`` is with a probability of ``at_least``, else ``""``."""
    shares = _shares(text)
    if not shares:
        return ""
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= at_least * sum(shares.values()) else ""
