"""Manifests: what an export is, in a file beside it that `sha256sum -c` checks as well; pure.

# idnode export 1
# records: 20000
# withheld: 3
# left_out: 0
# epoch: 5d1f…
# serial: 20005
# at: 2026-11-23T06:00:00Z
3a7b…  export.ndjson
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

HEAD = "# idnode export 1"
SUFFIX = ".sha256"
MAX_MANIFEST_BYTES = 4_096

_MEMBER = re.compile(r"# ([a-z_]+): (\S+)")
_SUM = re.compile(r"([0-9a-f]{64})  (.+)")


class BadManifest(ValueError):
    """The text is no manifest; the message says what is missing."""


class Manifest(NamedTuple):
    """What an export holds, of which state of which database, and its digest.

    `withheld` counts secrets that are not in it, `left_out` records that its form cannot hold.
    """

    records: int
    withheld: int
    left_out: int
    epoch: UUID
    serial: int
    at: int  # epoch second
    sha256: str
    name: str

    def encode(self) -> bytes:
        """Return the text of the file."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat()[:19] + "Z"
        members = {
            "records": self.records,
            "withheld": self.withheld,
            "left_out": self.left_out,
            "epoch": self.epoch,
            "serial": self.serial,
            "at": at,
        }
        lines = [HEAD, *(f"# {name}: {value}" for name, value in members.items())]
        return "\n".join([*lines, f"{self.sha256}  {self.name}", ""]).encode()


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest.  Raises BadManifest."""
    text = data[:MAX_MANIFEST_BYTES].decode("utf-8", "replace")
    if not text.startswith(HEAD):
        raise BadManifest(f"it does not begin with {HEAD!r}")
    members = dict(_MEMBER.findall(text))
    total = _SUM.search(text)
    if total is None:
        raise BadManifest("the line with the digest is missing")
    try:
        return Manifest(
            records=int(members["records"]),
            withheld=int(members["withheld"]),
            left_out=int(members["left_out"]),
            epoch=UUID(members["epoch"]),
            serial=int(members["serial"]),
            at=int(datetime.fromisoformat(members["at"]).timestamp()),
            sha256=total[1],
            name=total[2],
        )
    except (KeyError, ValueError) as error:
        raise BadManifest(f"a member is missing or wrong: {error}") from error
