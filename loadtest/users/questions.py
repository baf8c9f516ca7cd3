"""Questions: which identifiers users ask for: some far more often than others, and some that nobody registered.

The known ones are those of a corpus (`loadtest.corpus`) of so many lines with seed 1, as `make run` loads; popularity
follows Zipf's law.  The unknown ones are what a larger corpus would go on with: rightly spelled, and not there.
"""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from loadtest.corpus import ZipfSampler, handle_at, object_count

SAMPLE_RECORDS = 20_000  # lines of the sample of `make run`
UNKNOWN_SHARE = 0.1  # RSSAC047 asks nine known names for one unknown
_UNKNOWN_NUMBERS = 1_000_000
_KEPT = 1 << 16


@dataclass(frozen=True, slots=True)
class Question:
    """An identifier, its number in the corpus, and whether the node has it."""

    handle: str
    number: int
    is_known: bool
    name: str  # its row in locust's table


class Questions:
    """Draws questions; two with the same seed draw the same."""

    def __init__(
        self, seed: int, lines: int = SAMPLE_RECORDS, unknown_share: float = UNKNOWN_SHARE
    ) -> None:
        """Raises ValueError when a corpus of so many lines has no object record."""
        self._count, self._unknown_share = object_count(lines), unknown_share
        self._dice, self._popular = Random(seed), ZipfSampler(self._count, seed)

    def draw(self) -> Question:
        """Return the next question."""
        is_known = self._dice.random() >= self._unknown_share
        number = (
            self._popular.number()
            if is_known
            else self._count + self._dice.randrange(_UNKNOWN_NUMBERS)
        )
        return question(number, is_known=is_known)


@lru_cache(_KEPT)
def question(number: int, *, is_known: bool) -> Question:
    """Return the question for the record with this number."""
    handle = handle_at(number)
    return Question(
        handle, number, is_known, f"{scheme_of(handle)} {'known' if is_known else 'unknown'}"
    )


def scheme_of(handle: str) -> str:
    """Return the scheme an identifier belongs to: handle, doi, ecode, oid, gs1, did."""
    label, colon, _ = handle.partition(":")
    if colon and "/" not in label:
        return label
    return "doi" if handle.startswith("10.") else "handle"
