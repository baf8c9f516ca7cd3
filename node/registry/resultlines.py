"""Lines of a result file: how each says which row it is of and what became of it; pure.

What a line begins with is known where a row is read, what it ends with where its batch was written.
"""

from functools import lru_cache

import orjson

from node.registry.merging import Difference

MAX_SHOWN_CHARACTERS = 2_048  # of a handle, which may be anything where a row was refused


def begin_line(row: int, handle: str) -> bytes:
    """Return the line of a row up to its outcome."""
    return b'{"row":%d,"handle":%b,"outcome":' % (row, orjson.dumps(handle[:MAX_SHOWN_CHARACTERS]))


@lru_cache(maxsize=4096)
def end_line(outcome: str, difference: Difference = Difference(), code: int = 0) -> bytes:  # noqa: B008  a value
    """Return the rest of the line of a row that needs no reason; what is empty is left out."""
    more: dict[str, object] = {name: value for name, value in difference._asdict().items() if value}
    more |= {"code": code} if code else {}
    return orjson.dumps(outcome) + _members(more) + b"}\n"


def whole_line(
    row: int, handle: str, outcome: str, difference: Difference, reason: str, code: int
) -> bytes:
    """Return the line of a row."""
    end = end_line(outcome, difference, code)
    if reason:
        end = end[:-2] + _members({"reason": reason}) + b"}\n"
    return begin_line(row, handle) + end


def _members(items: dict[str, object]) -> bytes:
    """Return these members as they follow others."""
    return b"," + orjson.dumps(items)[1:-1] if items else b""
