"""Values of stored records, encoded again: what many records share is looked up, and plain text put into its frame."""

from node.registry.encoding import (
    REMEMBERED_BYTES,
    REMEMBERED_VALUES,
    EncodedValue,
    Frame,
    encode_part,
)
from resolver.wire import HandleValue

_RESERVED = b"HS_"

_Kind = tuple[int, bytes, int, int, int, int]


class PartEncoder:
    """Encodes values one by one, and remembers what it did."""

    def __init__(self) -> None:
        self._known: dict[tuple[_Kind, bytes], EncodedValue] = {}
        self._frames: dict[_Kind, Frame] = {}

    def encode(self, value: HandleValue) -> EncodedValue:
        """Return what `encode_part` returns."""
        if value.references or len(value.data) > REMEMBERED_BYTES:
            return encode_part(value)
        kind = (
            *(value.index, value.type, value.ttl_type, value.ttl),
            *(value.timestamp, value.permissions),
        )
        known = self._known.get((kind, value.data))
        if known is None:
            known = self._fill(kind, value) or encode_part(value)
            if len(self._known) >= REMEMBERED_VALUES:
                self._known.clear()
            self._known[kind, value.data] = known
        return known

    def _fill(self, kind: _Kind, value: HandleValue) -> EncodedValue | None:
        """Put text into the empty value of its kind; None for what the codec may write in another way."""
        if value.type[:3].upper() == _RESERVED:
            return None
        try:
            text = value.data.decode()
        except UnicodeDecodeError:
            return None
        if not text.isprintable():
            return None
        frame = self._frames.get(kind)
        if frame is None:
            if len(self._frames) >= REMEMBERED_VALUES:
                self._frames.clear()
            empty = HandleValue(
                index=value.index,
                type=value.type,
                data=b"",
                ttl_type=value.ttl_type,
                ttl=value.ttl,
                timestamp=value.timestamp,
                permissions=value.permissions,
            )
            frame = self._frames[kind] = Frame.around(encode_part(empty))
        return frame.fill(text)
