"""Faults: what the top-level node does wrong on purpose, and the clock that it goes by meanwhile.

Each can be switched on and off while it runs; those that are a share hit so many of a hundred answers, at random.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase

from sync.change import Place

MAX_SLOW_MS = 600_000
MAX_REFUSALS = 100
MAX_PATTERN_CHARACTERS = 512
PAST_SECONDS = 3_600  # by which its clock is off when it is from the past
SHARES = ("wrong", "replaying", "losing")
SWITCHES = ("down", "from_the_past", "disk_full", "expired")


class FaultError(ValueError):
    """A fault that there is not; the text says what there is."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows of a table (`*`: all) whose key fits a pattern with `*` and `?` are rejected, for this reason."""

    table: str
    key: str
    reason: str = "rejected by hand"

    def __post_init__(self) -> None:
        if not all(0 < len(each) <= MAX_PATTERN_CHARACTERS for each in (self.table, self.key)):
            raise FaultError("give table and key, each as a pattern such as 6 and *")
        if not 0 < len(self.reason) <= MAX_PATTERN_CHARACTERS:
            raise FaultError("give a reason, in a sentence")

    def fits(self, place: Place) -> bool:
        """True for a row that is meant."""
        return fnmatchcase(place.table, self.table) and fnmatchcase(place.key, self.key)


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong now.  Shares are in percent; `slow_ms` is before each answer."""

    slow_ms: int = 0
    down: bool = False  # nobody answers: connections are closed
    wrong: int = 0  # garbage comes back, of what was stored
    replaying: int = 0  # an old reply comes back, of what was stored
    losing: int = 0  # nothing comes back, of what was stored
    from_the_past: bool = False  # its clock is an hour behind
    disk_full: bool = False  # its file cannot grow
    expired: bool = False  # it shows a certificate that has ended
    reject: tuple[Refusal, ...] = field(default=())

    def with_given(self, given: Mapping[str, object]) -> "Faults":
        """Return these faults with some of them set anew: true and false, or a number.  Raises FaultError."""
        known = {each.name for each in fields(self)} | {"slow"}
        unknown = set(given) - known
        if unknown:
            raise FaultError(
                f"there is no fault {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
            )
        members = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in given.items():
            members[_name(name)] = _value(_name(name), value)
        return Faults(**members)

    def plain(self) -> dict[str, object]:
        """Return them as JSON has them."""
        return asdict(self)

    @property
    def names(self) -> list[str]:
        """Which of them are on."""
        return [each.name for each in fields(self) if getattr(self, each.name)]


class Clock:
    """POSIX seconds, off by what the faults say."""

    def __init__(self, true: Callable[[], float]) -> None:
        self._true = true
        self.offset_seconds = 0.0

    def __call__(self) -> float:
        return self._true() + self.offset_seconds

    def heed(self, faults: Faults) -> None:
        """Go by these faults from now on."""
        self.offset_seconds = -float(PAST_SECONDS) if faults.from_the_past else 0.0


def _name(given: str) -> str:
    return "slow_ms" if given == "slow" else given


def _value(name: str, value: object) -> int | tuple[Refusal, ...]:
    if name == "reject":
        return _refusals(value)
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise FaultError(f"{name} is true or false")
        return value
    most = 100 if name in SHARES else MAX_SLOW_MS
    if isinstance(value, bool) and name in SHARES:
        return 100 if value else 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise FaultError(f"{name} is a number from 0 to {most}")
    return value


def _refusals(value: object) -> tuple[Refusal, ...]:
    if not isinstance(value, list) or len(value) > MAX_REFUSALS:
        raise FaultError('reject is a list such as [{"table": "6", "key": "*", "reason": "…"}]')
    return tuple(map(_refusal, value))


def _refusal(value: object) -> Refusal:
    if not isinstance(value, Mapping) or not set(value) <= {"table", "key", "reason"}:
        raise FaultError("each of reject has table, key and reason")
    if not all(isinstance(each, str) for each in value.values()):
        raise FaultError("table, key and reason are texts")
    return Refusal(**{"table": "*", "key": "*"} | dict(value))
