"""SHA256SUMS: the evidence's own list of its files: what it lists is there as it was, and nothing was put beside it.

The list is no root of trust: whoever changes a file can change the list too, and it may be missing (the directory of a
node has none).  It finds what was damaged on the way, in files that no other rule reads, as `sha256sum -c` does.  What
lies beside the files of an export (an auditor's own notes, canaries, results) is told of and nothing else.
"""

import re
from collections.abc import Iterator

from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, grouped

SUMS = "SHA256SUMS"
BODIES = "bodies/"
_BESIDE = (SUMS, "SM3SUMS")  # which no list can have
_EXPORTED = (
    *(BODIES, "acks/", "anchors/", "days/", "heads/", "index/", "leaves.jsonl", "log/", "policy/"),
    *("report.html", "report.json", "report.note", "report.pdf"),
)
_LINE = re.compile(
    rb"([0-9a-f]{64})  ([!-\[\]-~]{1,1024})"
)  # sha256sum escapes names with a backslash


class SumsRules:
    """Judges the files of the evidence by its list; `has_bodies`: the records are looked at too."""

    def __init__(self, files: EvidenceFiles, findings: Findings, *, has_bodies: bool) -> None:
        self._files = files
        self._findings = findings
        self._has_bodies = has_bodies

    def judge(self) -> str:
        """Look at every file, and return what there is to say."""
        lines = self._files.lines(SUMS)
        if lines is None:
            return f"no {SUMS}"
        try:
            listed = {name: digest for name, digest in _read(lines) if self._is_asked(name)}
            for name, digest in listed.items():
                self._compare(name, digest)
            others = self._others(listed)
        except Unreadable as error:
            self._findings.fail(Check.V2_LISTED, str(error), file=SUMS)
            return f"{SUMS} cannot be used"
        beside = f", {others} beside them" if others else ""
        return f"{grouped(len(listed))} files of {SUMS}{beside}"

    def _is_asked(self, name: str) -> bool:
        return self._has_bodies or not name.startswith(BODIES)

    def _compare(self, name: str, digest: str) -> None:
        try:
            found = self._files.digest(name)
        except Unreadable as error:
            self._findings.fail(Check.V2_LISTED, f"{SUMS} lists a file: {error}", file=name)
            return
        if found != digest:
            self._findings.fail(Check.V2_SUMS, f"{name} is not the one of {SUMS}", file=name)

    def _others(self, listed: dict[str, str]) -> int:
        """Return how many files lie beside those of an export; what lies among them has to be listed."""
        others = 0
        for name in self._files.names():
            if name in listed or name in _BESIDE or not self._is_asked(name):
                continue
            if name.startswith(_EXPORTED):
                self._findings.fail(Check.V2_UNLISTED, f"{name} is not in {SUMS}", file=name)
            else:
                others += 1
        return others


def _read(lines: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each line.  Raises Unreadable for one that names no file below the directory."""
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        name = found[2].decode() if found else ""
        if found is None or {"", ".", ".."} & set(name.split("/")):
            raise Unreadable(f"line {number} of {SUMS} is none of sha256sum for a file of evidence")
        yield name, found[1].decode()
