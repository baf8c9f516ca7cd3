"""GS1 keys and GS1 Digital Link (secondary-node §3.5, features-and-contracts §4).

Spellings of one identifier, all with one canonical key `gs1:01/09506000134352/10/ABC/21/12`:

    https://id.example.org/any/path/01/09506000134352/10/ABC/21/12?17=251231     Digital Link, attributes ignored
    gs1:01/09506000134352/10/ABC/21/12                                           its path
    (01)09506000134352(21)12(10)ABC                                              element string, in any order
    9506000134352                                                                a bare GTIN-8, -12, -13 or -14

A GTIN is filled up to 14 digits.  Qualifiers stand in the order of Digital Link; alphanumeric values keep their case.
In links and paths a value is percent-decoded; in the key only `%` and `/` stay encoded, as `%25` and `%2F`.
Compressed links and raw scans without parentheses are not read.
"""

import re
from urllib.parse import unquote

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import spelling
from resolver.schemes.application_identifier import KEYS, QUALIFIERS, Key, compute_check_digit

NAME = Scheme.GS1
LABELS = ("gs1:",)

GTIN = "01"
GTIN_LENGTHS = (8, 12, 13, 14)

_LINK = re.compile(r"https?://[^/?#]+(/[^?#]*)", re.IGNORECASE)
_ELEMENT = re.compile(r"\(([0-9]{2,4})\)")
_BARE_GTIN = re.compile(r"[0-9]{8}|[0-9]{12,14}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

Pair = tuple[str, str]  # code of an application identifier, value


def accepts(text: str) -> bool:
    """Whether a text that names no scheme is of GS1: a link that holds a key, an element string, a valid GTIN."""
    if link := _LINK.match(text):
        return _find_key(_split(link[1])) is not None
    if _BARE_GTIN.fullmatch(text):
        return compute_check_digit(text[:-1]) == text[-1]
    return _ELEMENT.match(text) is not None


def parse(text: str) -> Identifier:
    """Read a key with its qualifiers, in any of the spellings above.  Raises IdentifierError."""
    body = spelling.clean(spelling.drop_label(text, *LABELS))
    if link := _LINK.match(body):
        return _identify(text, _read_path(link[1]), in_order=True)
    if _ELEMENT.match(body):
        return _identify(text, _read_elements(body), in_order=False)
    if "/" in body:
        return _identify(text, _read_path("/" + body.removeprefix("/"), stem=False), in_order=True)
    if not _BARE_GTIN.fullmatch(body):
        raise IdentifierError(
            "not a GS1 identifier: write a GTIN of 8, 12, 13 or 14 digits, (01)09506000134352,"
            " 01/09506000134352 or a Digital Link"
        )
    return _identify(text, [(GTIN, body)], in_order=True)


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling: the label `gs1:` and the path of the Digital Link."""
    return identifier.key.decode()


def _identify(text: str, pairs: list[Pair], *, in_order: bool) -> Identifier:
    key, value = _take_key(pairs)
    if key.ai.code == GTIN and len(value) in GTIN_LENGTHS and value.isdigit():
        value = value.zfill(max(GTIN_LENGTHS))
    key.ai.check(value)
    qualifiers = _arrange(key, [pair for pair in pairs if pair[0] not in KEYS], in_order=in_order)
    for code, qualifier in qualifiers:
        QUALIFIERS[code].check(qualifier)
    path = "/".join(
        [f"{code}/{_escape(each)}" for code, each in [(key.ai.code, value), *qualifiers]]
    )
    prefixes = [f"GS1:{each}".encode() for each in key.company_prefixes(value)]
    return Identifier(NAME, text, f"gs1:{path}".encode(), tuple(prefixes))


def _take_key(pairs: list[Pair]) -> tuple[Key, str]:
    found = [(KEYS[code], value) for code, value in pairs if code in KEYS]
    if len(found) != 1:
        codes = ", ".join(KEYS)
        raise IdentifierError(
            f"{len(found)} GS1 keys in one identifier; write exactly one of {codes}"
        )
    return found[0]


def _arrange(key: Key, pairs: list[Pair], *, in_order: bool) -> list[Pair]:
    """Return the qualifiers in their fixed order; with `in_order` they must stand in it already."""
    codes = [code for code, _ in pairs]
    sequence = next((each for each in key.qualifiers if set(codes) <= set(each)), None)
    if sequence is None or len(set(codes)) < len(codes):
        known = " or ".join([", ".join(each) or "no others" for each in key.qualifiers])
        raise IdentifierError(
            f"({key.ai.code}) {key.ai.title} goes with {known}, each once, not with {', '.join(codes)};"
            " leave out what only describes"
        )
    if key.needs and key.needs not in codes:
        raise IdentifierError(f"({key.ai.code}) {key.ai.title} needs ({key.needs}) beside it")
    arranged = sorted(pairs, key=lambda pair: sequence.index(pair[0]))
    if in_order and arranged != pairs:
        raise IdentifierError(f"qualifiers out of order; write {', then '.join(sequence)}")
    return arranged


def _read_elements(text: str) -> list[Pair]:
    _, *parts = _ELEMENT.split(text)
    return list(zip(parts[::2], parts[1::2], strict=True))


def _read_path(path: str, *, stem: bool = True) -> list[Pair]:
    """Return the pairs of a link's path; before its key it may have a stem of any segments."""
    segments = _split(path)
    start = _find_key(segments)
    if start is None or (start and not stem):
        raise IdentifierError(
            "no GS1 key in the path, or a value without its code; write key and value, then"
            " qualifiers with theirs, such as 01/09506000134352/10/ABC"
        )
    decoded = [_unescape(segment) for segment in segments[start:]]
    return list(zip(decoded[::2], decoded[1::2], strict=True))


def _split(path: str) -> list[str]:
    """Return the segments; a slash at the end makes none."""
    return path.removesuffix("/").split("/")[1:]


def _find_key(segments: list[str]) -> int | None:
    """Return where the last key stands.  Counted from the end, so a value such as `10/01` is never taken for one."""
    for start in range(len(segments) - 2, -1, -2):
        if segments[start] in KEYS:
            return start
    return None


def _unescape(segment: str) -> str:
    if _BAD_ESCAPE.search(segment):
        raise IdentifierError("a `%` in the path is no escape; write it as %25")
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise IdentifierError("an escape in the path is not UTF-8; encode it as UTF-8") from error


def _escape(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")
