"""Decentralised identifiers of China: did:bid (星火·链网) and did:vaa (secondary-node §3.6).

    did:bid:[ACSN:]<algorithm><encoding><suffix>
        ACSN        4 lower-case letters or digits; absent on the main chain
        algorithm   e ED25519, z SM2, s Secp256k1
        encoding    f Base58, 22 to 31 characters; s Base64 of 22 bytes; t Bech32, 42 lower-case characters
    did:vaa:<27 to 31 Base58 characters>
    did:vaa:<contract>:<prefix>/<suffix>      wraps a handle

Case matters, but a wrapped handle compares as handles do.  The padding `==` of a Base64 suffix may be left out, and
`-_` may stand for `+/`; the canonical form has the padding and the standard alphabet.
"""

import re

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import spelling

NAME = Scheme.DID
LABELS = ("did:",)

_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_BID = re.compile(
    r"did:bid:(?:([a-z0-9]{4}):)?[ezs]"
    rf"(?:f{_BASE58}{{22,31}}|s(?P<base64>[A-Za-z0-9+/_-]{{30}})(?:==)?|t[a-z0-9]{{42}})"
)
_VAA = re.compile(
    rf"did:vaa:(?:{_BASE58}{{27,31}}|(?P<contract>[0-9A-Za-z]+):(?P<handle>[^/]+/.+))"
)
_STANDARD_BASE64 = str.maketrans("-_", "+/")


def accepts(text: str) -> bool:
    """Whether a text is meant as a DID."""
    return text.startswith(LABELS)


def parse(text: str) -> Identifier:
    """Read a did:bid or did:vaa.  Raises IdentifierError."""
    name = spelling.clean(text)
    method = name[:8]
    if method == "did:bid:":
        return _parse_bid(text, name)
    if method == "did:vaa:":
        return _parse_vaa(text, name)
    if method.lower() in ("did:bid:", "did:vaa:"):
        raise IdentifierError(f"{method} is written in lower case; write {method.lower()}")
    raise IdentifierError("this DID method is not served here; did:bid and did:vaa are")


def format(identifier: Identifier) -> str:  # noqa: A001 - one of the four names of a scheme
    """Return the canonical spelling."""
    return identifier.key.decode()


def _parse_bid(text: str, name: str) -> Identifier:
    found = _BID.fullmatch(name)
    if not found:
        raise IdentifierError(
            "not a BID: after did:bid: and perhaps four characters and `:` come e, z or s, then"
            " f, s or t, then 22 to 31 characters of Base58, 32 of Base64 or 42 of Bech32"
        )
    if suffix := found["base64"]:
        start = found.start("base64")
        name = name[:start] + suffix.translate(_STANDARD_BASE64) + "=="
    chain = found[1]
    prefixes = [b"DID:BID"] if chain is None else [f"DID:BID:{chain.upper()}".encode(), b"DID:BID"]
    return Identifier(NAME, text, name.encode(), tuple(prefixes))


def _parse_vaa(text: str, name: str) -> Identifier:
    found = _VAA.fullmatch(name)
    if not found:
        raise IdentifierError(
            "not a VAA DID: after did:vaa: come 27 to 31 characters of Base58, or a contract, `:`"
            " and prefix/suffix, such as did:vaa:IDcontract1:86.100.1234/abc"
        )
    key = name.encode()
    if wrapped := found["handle"]:
        key = name[: found.start("handle")].encode() + spelling.fold(wrapped)
    return Identifier(NAME, text, key, (b"DID:VAA",))
