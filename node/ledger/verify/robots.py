"""Lists of robots, by the digest that a policy has: those that the auditor brought, and those in the evidence."""

import re
from collections.abc import Mapping
from hashlib import sha256

from node.ledger.classes import Robots, robots_path
from node.ledger.verify.checks import Check
from node.ledger.verify.files import MAX_DOCUMENT_BYTES, EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings

_DIGEST = re.compile("[0-9a-f]{64}")


class RobotLists:
    """The lists of robots that are known, by their digests."""

    def __init__(
        self, files: EvidenceFiles, given: Mapping[str, Robots], findings: Findings
    ) -> None:
        """`given` are those of the auditor."""
        self._files = files
        self._found = dict(given)
        self._findings = findings

    def named(self, index: int, digest: str) -> None:
        """A policy, the leaf with this index, names a list; the evidence may have it, and then rightly."""
        if _DIGEST.fullmatch(digest) is None:
            return
        path = robots_path(digest)
        try:
            data = self._files.find(path, MAX_DOCUMENT_BYTES)
            if data is None:
                return
            if sha256(data).hexdigest() != digest:
                raise ValueError("has another digest than its policy names")
            self._found.setdefault(digest, Robots.parse(data))
        except (Unreadable, ValueError, RecursionError) as error:
            text = f"the list of robots {path}: {error}"
            self._findings.fail(Check.V7_LIST, text, leaf=index, file=path)

    def get(self, digest: str) -> Robots | None:
        """Return a list, None when it is not here."""
        return self._found.get(digest)
