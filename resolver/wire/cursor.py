"""Reader and Writer: the only code that slices or packs protocol bytes; owner of their bounds.

Two laws.  A count is believed only after checking that the bytes which are left could hold so many
items, so a lying length costs nothing.  Every read either moves forward within the bytes or raises
`WireError`.  Integers are unsigned and big-endian throughout (RFC 3652 §2); the reference server
reads them as signed, which no sane message shows.
"""

from collections.abc import Callable
from struct import Struct, error
from typing import TypeVar

from resolver.wire.constants import MAX_ARRAY_BYTES, MAX_SLACK_BYTES
from resolver.wire.errors import WireError

Item = TypeVar("Item")

_U8 = Struct(">B")
_U16 = Struct(">H")
_U32 = Struct(">I")


class Reader:
    """Reads fields off the front of some bytes."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = len(data)
        self._position = 0

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._position

    def fields(self, layout: Struct) -> tuple[int, ...]:
        """Read the fixed fields of a layout, which must hold only integers."""
        start = self._position
        self._position = end = start + layout.size
        if end > self._end:
            raise WireError(f"the message ends inside a field, {end - self._end} bytes short")
        return layout.unpack_from(self._data, start)

    def u8(self) -> int:
        """Read one byte."""
        return self.fields(_U8)[0]

    def u16(self) -> int:
        """Read two bytes."""
        return self.fields(_U16)[0]

    def u32(self) -> int:
        """Read four bytes."""
        return self.fields(_U32)[0]

    def peek_u8(self) -> int:
        """Return the next byte, and leave it."""
        if self._position == self._end:
            raise WireError("the message ends where a byte is due")
        return self._data[self._position]

    def take(self, length: int) -> bytes:
        """Read so many bytes."""
        start = self._position
        end = start + length
        if end > self._end:
            raise WireError(f"a field of {length} bytes runs {end - self._end} past the end")
        self._position = end
        return self._data[start:end]

    def string(self) -> bytes:
        """Read a string or array: four bytes of length, and that many bytes."""
        start = self._position + 4
        if start > self._end:
            raise WireError("the message ends inside the length of a string")
        length: int = _U32.unpack_from(self._data, start - 4)[0]
        end = start + length
        if end > self._end or length > MAX_ARRAY_BYTES:
            raise WireError(f"a string of {length} bytes does not fit in the message")
        self._position = end
        return self._data[start:end]

    def count(self, smallest_item: int, most: int | None = None) -> int:
        """Read the count of a list whose items take at least so many bytes; `most` are allowed."""
        start = self._position
        self._position = start + 4
        if self._position > self._end:
            raise WireError("the message ends inside the count of a list")
        count: int = _U32.unpack_from(self._data, start)[0]
        if count * smallest_item > self._end - self._position:
            raise WireError(f"a list of {count} items does not fit in the message")
        if most is not None and count > most:
            raise WireError(f"a list of {count} items; {most} are allowed")
        return count

    def items(self, read: Callable[["Reader"], Item], smallest: int) -> tuple[Item, ...]:
        """Read a list: a count, and that many items of at least `smallest` bytes each."""
        return tuple([read(self) for _ in range(self.count(smallest))])

    def slack(self) -> bytes:
        """Read the stray bytes that some clients leave after a body, MAX_SLACK_BYTES at most."""
        if self._end - self._position > MAX_SLACK_BYTES:
            raise WireError(f"{self.remaining} stray bytes at the end")
        return self.rest()

    def rest(self) -> bytes:
        """Read all that is left."""
        start, self._position = self._position, self._end
        return self._data[start:]

    def finish(self) -> None:
        """Insist that nothing is left."""
        if self._position != self._end:
            raise WireError(f"{self.remaining} stray bytes at the end")


class Writer:
    """Collects fields; `bytes()` of it is the result.  Methods return the writer, for chaining."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def fields(self, layout: Struct, *values: int) -> "Writer":
        """Write the fixed fields of a layout.  Raises ValueError when one is out of its range."""
        try:
            self._parts.append(layout.pack(*values))
        except error as cause:
            raise ValueError(f"a number does not fit its field: {cause}") from cause
        return self

    def u8(self, value: int) -> "Writer":
        """Write one byte."""
        return self.fields(_U8, value)

    def u16(self, value: int) -> "Writer":
        """Write two bytes."""
        return self.fields(_U16, value)

    def u32(self, value: int) -> "Writer":
        """Write four bytes."""
        return self.fields(_U32, value)

    def raw(self, data: bytes) -> "Writer":
        """Write bytes as they are."""
        self._parts.append(data)
        return self

    def string(self, data: bytes) -> "Writer":
        """Write a string or array after its length.  Raises ValueError above MAX_ARRAY_BYTES."""
        if len(data) > MAX_ARRAY_BYTES:
            raise ValueError(f"a string of {len(data)} bytes; {MAX_ARRAY_BYTES} are allowed")
        self._parts.append(_U32.pack(len(data)))
        self._parts.append(data)
        return self

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)


class Backlog:
    """Bytes that arrived and are not used up yet; adding and taking cost the bytes moved, no more.

    What arrives when nothing waits is kept as it is, and a message that came in one piece is given out without a copy.
    """

    __slots__ = ("_data", "_start")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def add(self, data: bytes) -> None:
        """Put bytes at the end."""
        if self._start == len(self._data):
            self._data = data
        else:
            self._data = self._waiting()
            self._data += data
        self._start = 0

    def peek(self, layout: Struct) -> tuple[int, ...]:
        """Return the fixed fields at the front, which must be there, and leave them."""
        return layout.unpack_from(self._data, self._start)

    def take(self, length: int) -> bytes:
        """Return so many bytes, which must be there, and drop them."""
        start, end = self._start, self._start + length
        taken = bytes(self._data[start:end])
        if end == len(self._data):  # hold on to nothing while a connection idles
            self._data, end = b"", 0
        self._start = end
        return taken

    def _waiting(self) -> bytearray:
        """Return what waits in a form that grows cheaply, even by one byte at a time."""
        if not isinstance(self._data, bytearray):
            return bytearray(self._data[self._start :])
        del self._data[: self._start]
        return self._data
