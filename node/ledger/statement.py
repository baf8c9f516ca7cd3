"""The statement under which a report is signed: the text of a signed note, `report.note`, that names its digests.

    idnode report                       always
    log.example/ledger                  origin
    2026-11                             month
    1                                   version, from 1
    sha256 <64 hexadecimal digits>      of the bytes of report.json
    sm3 <64 hexadecimal digits>

It is signed by the keys of the log: Ed25519, and SM2 where the log has such a key.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

from node.ledger.block import sm3
from node.ledger.keys import NoteError

_HEAD = "idnode report"
_TEXT = re.compile(
    rf"{_HEAD}\n(?P<origin>[^\n]+)\n(?P<period>[0-9]{{4}}-[0-9]{{2}})\n(?P<version>[1-9][0-9]{{0,8}})\n"
    r"sha256 (?P<sha256>[0-9a-f]{64})\nsm3 (?P<sm3>[0-9a-f]{64})\n",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed of a report."""

    origin: str
    period: str
    version: int
    sha256: str
    sm3: str

    @classmethod
    def of(cls, origin: str, period: str, version: int, document: bytes) -> "Statement":
        """Return the statement over a document."""
        return cls(origin, period, version, sha256(document).hexdigest(), sm3(document))

    @classmethod
    def parse(cls, text: str) -> "Statement":
        """Read the text of a note.  Raises NoteError when it states no report."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NoteError("this note states no report")
        return cls(
            found["origin"], found["period"], int(found["version"]), found["sha256"], found["sm3"]
        )

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (
            _HEAD,
            self.origin,
            self.period,
            str(self.version),
            f"sha256 {self.sha256}",
            f"sm3 {self.sm3}",
        )
        return "".join(f"{line}\n" for line in lines)

    def is_of(self, document: bytes) -> bool:
        """True when the document has both digests."""
        return self.sha256 == sha256(document).hexdigest() and self.sm3 == sm3(document)
