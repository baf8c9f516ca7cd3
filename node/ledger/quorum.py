"""Which checkpoints are to be believed: logs, witnesses, groups of them, and the quorum (C2SP tlog-policy).

Laws.  A name stands for one witness or group and is defined above the line that uses it; each is a member of at most
one group, so that no witness counts twice.  A log or a witness is listed once, whatever names its key goes by.
A checkpoint meets the policy when a listed log signed it under its own name and the quorum cosigned it.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint, read_checkpoint
from node.ledger.keys import NoteError, SignatureType, VerifierKey
from node.ledger.note import CHECKS, Check, Note, Unsigned, cosigned_at, verify

MAX_POLICY_BYTES = 262_144
MAX_LOGS = MAX_WITNESSES = MAX_GROUPS = 64  # the specification recommends 32 of each
NONE = "none"  # the quorum that asks for nobody
TOPLEVEL = (
    "toplevel"  # the witness or group of this name is the top-level node, unless another is named
)

_LINE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_BLANKS = re.compile(rb"[ \t]+")
_COUNT = re.compile("[1-9][0-9]{0,3}")
_LOG_TYPES = (SignatureType.ED25519, SignatureType.SM2_SM3)


class PolicyError(ValueError):
    """A policy cannot be read; the text says which line and why."""


class Log(NamedTuple):
    """A log whose checkpoints are accepted, and where it is (or nothing)."""

    key: VerifierKey
    url: str = ""


class Witness(NamedTuple):
    """A witness: its name in the policy, its key, and where checkpoints are submitted to it (or nothing)."""

    name: str
    key: VerifierKey
    url: str = ""


class Group(NamedTuple):
    """Witnesses and groups of which at least `needed` must have cosigned."""

    name: str
    needed: int
    members: tuple[str, ...]


class Cosigned(NamedTuple):
    """A checkpoint that a listed log signed, and when each listed witness cosigned it, POSIX seconds by its name."""

    checkpoint: Checkpoint
    witnesses: Mapping[str, int]
    is_met: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses and groups, each in the order of its lines, and the name of the quorum."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @classmethod
    def parse(cls, data: bytes) -> "Policy":
        """Read a policy file.  Raises PolicyError."""
        if len(data) > MAX_POLICY_BYTES:
            raise PolicyError(f"a policy has at most {MAX_POLICY_BYTES} bytes")
        reader = _Reader()
        for number, line in enumerate(data.split(b"\n"), 1):
            try:
                reader.read(line)
            except ValueError as error:
                raise PolicyError(f"line {number} of the policy: {error}") from error
        return reader.policy()

    def examine(self, note: Note, checks: Mapping[SignatureType, Check] = CHECKS) -> Cosigned:
        """Return what the note is worth under this policy.

        Raises Unsigned when no listed log signed it, SignatureError when a known key's signature is wrong, NoteError
        when it is no checkpoint.
        """
        checkpoint = read_checkpoint(note, [log.key for log in self.logs], checks)
        times = self._cosigned(note, checks)
        return Cosigned(checkpoint, times, self.is_quorum(times))

    def is_met(self, note: Note, checks: Mapping[SignatureType, Check] = CHECKS) -> bool:
        """Return whether a listed log signed the note and the quorum cosigned it; a wrong signature is never met."""
        try:
            return self.examine(note, checks).is_met
        except NoteError:
            return False

    def is_quorum(self, witnesses: Collection[str]) -> bool:
        """Return whether these witnesses, by their names in the policy, are enough."""
        agreed = {NONE, *witnesses}
        for group in self.groups:  # members are defined above their group
            if sum(member in agreed for member in group.members) >= group.needed:
                agreed.add(group.name)
        return self.quorum in agreed

    def named(self, name: str) -> tuple[Witness, ...]:
        """Return the witness of this name, or those of the group of this name; nobody when there is neither."""
        members = next((group.members for group in self.groups if group.name == name), ())
        within = [each for member in members for each in self.named(member)]
        return (*(each for each in self.witnesses if each.name == name), *within)

    def acknowledging(self) -> Witness | None:
        """Return whom the node asks to acknowledge, None for nobody: who has a URL, of those called `toplevel` alone.

        Where nobody is called so, it is the first witness that has a URL.
        """
        asked = self.named(TOPLEVEL) or self.witnesses
        return next((each for each in asked if each.url), None)

    def _cosigned(self, note: Note, checks: Mapping[SignatureType, Check]) -> dict[str, int]:
        names = {witness.key: witness.name for witness in self.witnesses}
        try:
            found = verify(note, names, checks)
        except Unsigned:
            return {}
        times: dict[str, int] = {}
        for key, signature in found:  # who cosigned twice has seen it at the first time
            seconds = cosigned_at(signature.data)
            times[names[key]] = min(seconds, times.get(names[key], seconds))
        return times


class _Reader:
    """Takes the lines of a policy, one after the other."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum: str | None = None
        self._free: dict[str, bool] = {}  # each name, and whether it is no member yet

    def read(self, line: bytes) -> None:
        """Take a line.  Raises ValueError for one that is not right here."""
        if _LINE.fullmatch(line) is None:
            raise ValueError("it has control characters")
        words = [_text(word) for word in _BLANKS.split(line) if word]
        if not words or words[0].startswith("#"):
            return
        take = _KEYWORDS.get(words[0])
        if take is None:
            raise ValueError(f"{words[0]!r} begins no line of a policy")
        take(self, words[1:])

    def policy(self) -> Policy:
        """Return what was read.  Raises PolicyError when there was no quorum line."""
        if self.quorum is None:
            raise PolicyError("the policy has no quorum line")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def log(self, words: Sequence[str]) -> None:
        """Take `log <vkey> [<url>]`."""
        if not 1 <= len(words) <= 2:
            raise ValueError("it is: log <vkey> [<url>]")
        log = Log(_key(words[0], _LOG_TYPES), *words[1:])
        if log.key.public in {other.key.public for other in self.logs}:
            raise ValueError("this log is listed above")
        _check_room(self.logs, MAX_LOGS)
        self.logs.append(log)

    def witness(self, words: Sequence[str]) -> None:
        """Take `witness <name> <vkey> [<url>]`."""
        if not 2 <= len(words) <= 3:
            raise ValueError("it is: witness <name> <vkey> [<url>]")
        witness = Witness(words[0], _key(words[1], (SignatureType.COSIGNATURE,)), *words[2:])
        if witness.key.public in {other.key.public for other in self.witnesses}:
            raise ValueError("the key of this witness is listed above")
        self._define(witness.name)
        _check_room(self.witnesses, MAX_WITNESSES)
        self.witnesses.append(witness)

    def group(self, words: Sequence[str]) -> None:
        """Take `group <name> all|any|<k> <name>...`."""
        if len(words) < 3:
            raise ValueError("it is: group <name> all|any|<k> <name>...")
        name, rule, *members = words
        needed = {"any": 1, "all": len(members)}.get(rule) or _count(rule, len(members))
        for member in members:
            if not self._free.get(member):
                raise ValueError(f"{member!r} is not defined above, or a member already")
            self._free[member] = False
        self._define(name)
        _check_room(self.groups, MAX_GROUPS)
        self.groups.append(Group(name, needed, tuple(members)))

    def end(self, words: Sequence[str]) -> None:
        """Take `quorum <name>`."""
        if len(words) != 1 or self.quorum is not None:
            raise ValueError("there is one quorum line, with one name")
        if words[0] != NONE and words[0] not in self._free:
            raise ValueError(f"{words[0]!r} is not defined above")
        self.quorum = words[0]

    def _define(self, name: str) -> None:
        if name == NONE or name in self._free:
            raise ValueError(f"the name {name!r} is taken")
        self._free[name] = True


_KEYWORDS: dict[str, Callable[[_Reader, Sequence[str]], None]] = {
    "log": _Reader.log,
    "witness": _Reader.witness,
    "group": _Reader.group,
    "quorum": _Reader.end,
}


def _check_room(found: Sized, limit: int) -> None:
    if len(found) == limit:
        raise ValueError(f"a policy has at most {limit} lines of this kind")


def _key(text: str, types: Collection[SignatureType]) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.type not in types:
        raise ValueError(f"a key of the type {key.type.name} does not belong here")
    return key


def _count(text: str, members: int) -> int:
    if _COUNT.fullmatch(text) is None or int(text) > members:
        raise ValueError(
            f"of {members} members, any, all or 1 to {members} are needed, not {text!r}"
        )
    return int(text)


def _text(word: bytes) -> str:
    """Names are bytes to the specification: what is no UTF-8 stays apart from everything else."""
    return word.decode(errors="surrogateescape")
