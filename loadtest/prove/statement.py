"""The statement under which a proof is signed: the text of a signed note, `report.note`, by the keys of the log.

idnode proof                        always
log.example/ledger                  origin
campaign 1                          its number
sha256 <64 hexadecimal digits>      of the bytes of report.json
sm3 <64 hexadecimal digits>
page <64 hexadecimal digits>        SHA-256 of report.html
pdf <64 hexadecimal digits>         SHA-256 of report.pdf
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from node.ledger.block import sm3
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.note import Note, Signer, verify
from node.ledger.sm2 import CHECKS_WITH_SM2

_HEAD = "idnode proof"


def statement(origin: str, campaign: int, document: bytes, page: bytes, pdf: bytes) -> str:
    """Return the text that is signed."""
    lines = (
        _HEAD,
        origin,
        f"campaign {campaign}",
        f"sha256 {sha256(document).hexdigest()}",
        f"sm3 {sm3(document)}",
        f"page {sha256(page).hexdigest()}",
        f"pdf {sha256(pdf).hexdigest()}",
    )
    return "".join(f"{line}\n" for line in lines)


def sign(text: str, signers: Sequence[Signer]) -> Note:
    """Return the note."""
    return Note(text).signed(*(signer.sign(text) for signer in signers))


def check(data: bytes, text: str, keys: Iterable[VerifierKey]) -> str:
    """Return what is wrong with a note over this text, nothing when one of the keys has signed it."""
    try:
        note = Note.parse(data)
        verify(note, keys, CHECKS_WITH_SM2)
    except NoteError as error:
        return f"report.note: {error}"
    return (
        ""
        if note.text == text
        else "report.note is not of this report.json, report.html and report.pdf"
    )
