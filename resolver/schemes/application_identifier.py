"""GS1 application identifiers that identify: the keys, their qualifiers, and how each value is checked.

Facts of the GS1 General Specifications and of Digital Link 1.2 (features-and-contracts §4): which AIs are primary keys,
which qualifiers each takes and in what order, what characters a value has, where its check digit stands.  Attributes
such as a weight or a date (AI 3103, 17) describe and do not identify, so they are not here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from resolver.identifier import IdentifierError

SET_82 = r"[!\"%-?A-Z_a-z]"  # characters of alphanumeric values, in ASCII order
SET_39 = r"[#\-/0-9A-Z]"

_MIN_COMPANY_PREFIX = 4
_MAX_COMPANY_PREFIX = 12
_LEADING_DIGITS = re.compile(r"[0-9]*")
_SET_82_CHARACTERS = [chr(code) for code in range(128) if re.fullmatch(SET_82, chr(code))]
_PAIR_CHARACTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_PAIR_MODULUS = 1021
_PAIR_WEIGHTS = (
    2,
    3,
    5,
    7,
    11,
    13,
    17,
    19,
    23,
    29,
    31,
    37,
    41,
    43,
    47,
    53,
    59,
    61,
    67,
    71,
    73,
    79,
    83,
)


@dataclass(frozen=True, slots=True)
class ApplicationIdentifier:
    """One AI: its code, its name, the grammar of its values in words and as a pattern, and a check beyond it.

    `explain` returns what is wrong with a value that fits the pattern, or nothing.
    """

    code: str
    title: str
    form: str
    pattern: str
    explain: Callable[[str], str] = lambda value: ""

    def check(self, value: str) -> None:
        """Raise IdentifierError, with the reason, for a value that this AI cannot have."""
        if not re.fullmatch(self.pattern, value):
            raise IdentifierError(f"({self.code}) {self.title} is {self.form}, not {value!r:.60}")
        if problem := self.explain(value):
            raise IdentifierError(f"({self.code}) {self.title} {value}: {problem}")


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key: its AI, where the company prefix begins in its value, and its qualifiers.

    `qualifiers` are alternative sequences, each in the order in which a Digital Link has them; `needs` is one that may
    not be missing.
    """

    ai: ApplicationIdentifier
    company_prefix_at: int = 0
    qualifiers: tuple[tuple[str, ...], ...] = ((),)
    needs: str = ""

    def company_prefixes(self, value: str) -> tuple[str, ...]:
        """Return what could be the company prefix of the value, 12 to 4 digits, the longest first."""
        found = _LEADING_DIGITS.match(value, self.company_prefix_at)
        digits = found[0][:_MAX_COMPANY_PREFIX] if found else ""
        return tuple([digits[:n] for n in range(len(digits), _MIN_COMPANY_PREFIX - 1, -1)])


def compute_check_digit(digits: str) -> str:
    """Return the digit that belongs behind these: weights 3 and 1 from the right, modulo 10."""
    weighted = 3 * sum(map(int, digits[::-2])) + sum(map(int, digits[-2::-2]))
    return str(-weighted % 10)


def compute_check_pair(model: str) -> str:
    """Return the two characters that belong behind a Global Model Number: prime weights, modulo 1021."""
    values = [_SET_82_CHARACTERS.index(character) for character in reversed(model)]
    total = sum(value * weight for value, weight in zip(values, _PAIR_WEIGHTS, strict=False))
    high, low = divmod(total % _PAIR_MODULUS, len(_PAIR_CHARACTERS))
    return _PAIR_CHARACTERS[high] + _PAIR_CHARACTERS[low]


def _explain_digit(length: int) -> Callable[[str], str]:
    """Check the last of the first `length` digits against those before it."""

    def explain(value: str) -> str:
        given, due = value[length - 1], compute_check_digit(value[: length - 1])
        return "" if given == due else f"the check digit is {given} and should be {due}"

    return explain


def _explain_pair(value: str) -> str:
    given, due = value[-2:], compute_check_pair(value[:-2])
    return "" if given == due else f"the check characters are {given} and should be {due}"


def _explain_pieces(value: str) -> str:
    piece, total = value[14:16], value[16:18]
    if not "00" < piece <= total:
        return f"piece {piece} of {total} does not exist"
    return _explain_digit(14)(value)


def _digits(
    code: str, title: str, length: int, tail: str = "", form: str = ""
) -> ApplicationIdentifier:
    """Return an AI of `length` digits, the last a check digit, and perhaps something behind them."""
    words = f"{length} digits, the last a check digit{form and f', and {form}'}"
    return ApplicationIdentifier(
        code, title, words, rf"[0-9]{{{length}}}{tail}", _explain_digit(length)
    )


def _text(code: str, title: str, longest: int) -> ApplicationIdentifier:
    return ApplicationIdentifier(
        code, title, f"1 to {longest} characters of GS1 set 82", f"{SET_82}{{1,{longest}}}"
    )


def _company_text(code: str, title: str, longest: int, characters: str) -> ApplicationIdentifier:
    """Return an AI whose value begins with a company prefix and goes on freely."""
    form = f"a company prefix of at least 4 digits and more, at most {longest} characters"
    return ApplicationIdentifier(code, title, form, f"[0-9]{{4}}{characters}{{1,{longest - 4}}}")


_MODEL = ApplicationIdentifier(
    "8013",
    "GMN",
    "a company prefix, a model reference and two check characters, at most 25 characters",
    rf"[0-9]{{4}}{SET_82}{{1,19}}[2-9A-HJ-NP-Z]{{2}}",
    _explain_pair,
)
_PIECE = ApplicationIdentifier(
    "8006",
    "ITIP",
    "a GTIN of 14 digits, 2 digits of piece and 2 of total",
    "[0-9]{18}",
    _explain_pieces,
)
_ASSET_TYPE = ApplicationIdentifier(
    "8003",
    "GRAI",
    "0, 13 digits of which the last is a check digit, and at most 16 characters of serial",
    rf"0[0-9]{{13}}{SET_82}{{0,16}}",
    _explain_digit(14),
)

_OF_AN_ITEM = ("22", "10", "21")

KEYS = {
    key.ai.code: key
    for key in (
        Key(_digits("00", "SSCC", 18), company_prefix_at=1),
        Key(_digits("01", "GTIN", 14), company_prefix_at=1, qualifiers=(_OF_AN_ITEM, ("235",))),
        Key(_digits("253", "GDTI", 13, rf"{SET_82}{{0,17}}", "at most 17 characters of serial")),
        Key(_digits("255", "GCN", 13, "[0-9]{0,12}", "at most 12 digits of serial")),
        Key(_company_text("401", "GINC", 30, SET_82)),
        Key(_digits("402", "GSIN", 17)),
        Key(_digits("414", "GLN", 13), qualifiers=(("254",), ("7040",))),
        Key(_digits("415", "GLN of the payee", 13), qualifiers=(("8020",),), needs="8020"),
        Key(_digits("417", "GLN of a party", 13), qualifiers=(("7040",),)),
        Key(_ASSET_TYPE, company_prefix_at=1),
        Key(_company_text("8004", "GIAI", 30, SET_82), qualifiers=(("7040",),)),
        Key(_PIECE, company_prefix_at=1, qualifiers=(_OF_AN_ITEM,)),
        Key(_company_text("8010", "CPID", 30, SET_39), qualifiers=(("8011",),)),
        Key(_MODEL),
        Key(_digits("8017", "GSRN of a provider", 18), qualifiers=(("8019",),)),
        Key(_digits("8018", "GSRN of a recipient", 18), qualifiers=(("8019",),)),
    )
}

QUALIFIERS = {
    ai.code: ai
    for ai in (
        _text("10", "lot", 20),
        _text("21", "serial", 20),
        _text("22", "consumer product variant", 20),
        _text("235", "third-party serial", 28),
        _text("254", "GLN extension", 20),
        _text("8020", "payment slip reference", 25),
        ApplicationIdentifier(
            "7040",
            "UIC and extension",
            "a digit and 3 characters",
            f"[0-9]{SET_82}{{2}}[-0-9A-Z_a-z]",
        ),
        ApplicationIdentifier(
            "8011",
            "CPID serial",
            "1 to 12 digits, the first not 0 unless alone",
            "0|[1-9][0-9]{0,11}",
        ),
        ApplicationIdentifier("8019", "service relation instance", "1 to 10 digits", "[0-9]{1,10}"),
    )
}
