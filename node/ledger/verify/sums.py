"""SHA256SUMS: the evidence's own list of its files: what it lists is there as it was, and nothing was put beside it.

The list is no root of trust: whoever changes a file can change the list too, and it may be missing (the directory of a
node has none).  It finds what was damaged on the way, in files that no other rule reads, as `sha256sum -c` does.  What
lies beside the files of an export (an auditor's own notes, canaries, results) is told of and nothing else; so are files
anywhere whose name begins with a dot, which desktops leave behind and no rule reads.
"""

import re
from collections.abc import Iterator

from node.ledger.verify.checks import Check
from node.ledger.verify.files import MAX_NAMES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, grouped, plain

SUMS = "SHA256SUMS"
BODIES = "bodies/"
_BESIDE = (SUMS, "SM3SUMS")  # which no list can have
_DIRECTORIES = (BODIES, "acks/", "anchors/", "days/", "heads/", "index/", "log/", "policy/")
_FILES = {"leaves.jsonl", "report.html", "report.json", "report.note", "report.pdf"}
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
            listed = {name: each for name, each in _read(lines).items() if self._is_asked(name)}
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
            if _is_exported(name):
                text = f"{name} is not in {SUMS}"
                self._findings.fail(Check.V2_UNLISTED, text, file=plain(name))
            else:
                others += 1
        return others


def _is_exported(name: str) -> bool:
    """True for a name that an export gives its files; one with a dot in front is of nobody's making but a desktop's."""
    is_hidden = name.rpartition("/")[2].startswith(".")
    return not is_hidden and (name in _FILES or name.startswith(_DIRECTORIES))


def _read(lines: Iterator[bytes]) -> dict[str, str]:
    """Return each name's digest.  Raises Unreadable for a line that names no file below the directory, or one twice."""
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        name = found[2].decode() if found else ""
        if found is None or {"", ".", ".."} & set(name.split("/")):
            raise Unreadable(f"line {number} of {SUMS} is none of sha256sum for a file of evidence")
        if name in listed:
            raise Unreadable(f"line {number} of {SUMS} lists {name} a second time")
        if number > MAX_NAMES:
            raise Unreadable(f"{SUMS} has more than {MAX_NAMES} lines")
        listed[name] = found[1].decode()
    return listed
