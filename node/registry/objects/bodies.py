"""Bodies: an object's value as its row has it: JSON without what is personal, and that sealed for its place."""

import orjson

from node.model.application import Application
from node.model.enterprise import Enterprise
from node.model.form import read
from node.model.personal import join, split
from node.model.prefix import Prefix
from node.model.template import Template
from node.registry.objects.held import CLASSES, Held, ObjectKind, Value
from node.store.objects import ObjectRow
from resolver.keys.seal import Seal


def pack(value: Value, kind: ObjectKind, key: str, seal: Seal) -> tuple[str, bytes | None]:
    """Return the open part of a value as JSON, and the personal part sealed (None: there is none)."""
    open_part, personal = split(value)
    sealed = seal.seal(_place(kind, key), 0, orjson.dumps(personal)) if personal else None
    return orjson.dumps(open_part).decode(), sealed


def unpack(row: ObjectRow, seal: Seal) -> Held:
    """Return the object that a row holds.  Raises ModelError, SealError: it was written by another version or key."""
    kind = ObjectKind(row.kind)
    whole = orjson.loads(row.body)
    if row.personal is not None:
        whole = join(whole, orjson.loads(seal.open(_place(kind, row.id), 0, row.personal)))
    value = read(CLASSES[kind], whole)
    return Held(kind, row.id, row.enterprise, row.state, row.version, row.changed_at, value)


def state_of(value: Value, *, is_kept: bool = True) -> str:
    """Return the state of a value's life; what has none is `kept`, or `gone`."""
    match value:
        case Enterprise() | Template() | Application():
            return value.state.value
        case Prefix():
            return value.stage.value
    return "kept" if is_kept else "gone"


def _place(kind: ObjectKind, key: str) -> bytes:
    return f"object {kind.value} {key}".encode()
