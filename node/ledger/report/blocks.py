"""Blocks: what a report consists of, whatever it is written as.  HTML and PDF are two ways to write the same blocks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Heading:
    """A title: level 1 to 3."""

    text: str
    level: int = 2
    kind: str = "heading"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Some sentences; `tone` is plain, small, good, bad or warning."""

    text: str
    tone: str = "plain"
    kind: str = "paragraph"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they stand for, in two columns."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers that matter, large: what it is, the number, a remark."""

    cards: Sequence[tuple[str, str, str]]
    kind: str = "numbers"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and rows of texts.  `layout` has a letter a column: l, r for numbers, w for what may be long, W for what
    is longer, s for a standing (its cells begin with +, - or ~, which is not shown), m for digests and keys, c for
    what has a colour (in front, #1f4e79).
    """

    columns: Sequence[str]
    layout: str
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart or a QR code as SVG; `width` in hundredths of the page."""

    svg: str
    caption: str = ""
    width: int = 100
    kind: str = "picture"


@dataclass(frozen=True, slots=True)
class Beside:
    """A picture and lines of text that are copied, side by side."""

    svg: str
    lines: Sequence[str]
    kind: str = "beside"


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines to be typed."""

    lines: Sequence[str]
    kind: str = "commands"


@dataclass(frozen=True, slots=True)
class PageBreak:
    """What follows begins a page."""

    kind: str = "break"


Block: TypeAlias = (
    Heading | Paragraph | Facts | Numbers | Table | Picture | Beside | Commands | PageBreak
)


@dataclass(frozen=True, slots=True)
class Edition:
    """The report in one language.  `mark` stands on every page, empty when there is none; `running` on each as well."""

    language: str
    title: str
    running: str
    page: str  # with {page} in it
    mark: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)


def as_data(editions: Sequence[Edition]) -> list[dict[str, object]]:
    """Return editions as plain values."""
    return [asdict(edition) for edition in editions]
