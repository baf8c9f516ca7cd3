"""Values from JSON and back, by what their fields say.

read(Contact, {...})        a value, or a ModelError that carries all faults of the form
write(contact)              its JSON, with everything: for those who may; for the store see `personal`
write_masked(contact)       its JSON for lists, logs and everybody else
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from node.model.field import Checked, Field, NamedField, fields_of
from node.model.kind import Json, Many
from node.model.rule import ModelError, Rule, gather

MAX_UNKNOWN = 16  # fields that do not exist, told of one object
MAX_NAME = 64  # characters of such a field's name that are told

Value = TypeVar("Value", bound=Checked)


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of field: a value that has fields itself."""

    of: type[Checked]

    @property
    def says(self) -> str:
        return f"[{self.of.__name__}](#{self.of.__name__.lower()})"

    def read(self, value: object, field: str) -> object:
        try:
            return read(self.of, value)
        except ModelError as fault:
            raise fault.below(field) from None

    def check(self, value: object, field: str) -> None:
        if not isinstance(value, self.of):
            raise ModelError(field, Rule.KIND, "give an object in braces")

    def write(self, value: object) -> Json:
        return write(value) if isinstance(value, Checked) else None


def read(kind: type[Value], given: object) -> Value:
    """Return a value from its JSON; `null` counts as left out.  Raises ModelError with all faults."""
    if not isinstance(given, Mapping):
        raise ModelError("", Rule.KIND, "give an object in braces")
    known = {field.name: field for field in fields_of(kind)}
    faults = list(_unknown_fields(given, known))
    found: dict[str, Any] = {}
    for field in known.values():
        try:
            _read_field(field, given, found)
        except ModelError as fault:
            faults.append(fault)
    if faults:
        raise gather(faults)
    return kind(**found)


def _unknown_fields(
    given: Mapping[Any, object], known: Mapping[str, NamedField]
) -> Iterator[ModelError]:
    """Yield a fault for each, up to a limit; their names are the sender's, and are cut."""
    unknown = (str(name) for name in given if name not in known)
    for name in islice(unknown, MAX_UNKNOWN):
        yield ModelError(
            name[:MAX_NAME], Rule.UNKNOWN, "there is no such field; correct or remove it"
        )


def _read_field(field: NamedField, given: Mapping[str, object], found: dict[str, Any]) -> None:
    value = given.get(field.name)
    if value is None and not field.is_required:
        return
    if value is None:
        raise ModelError(field.name, Rule.REQUIRED, "this is required")
    found[field.name] = field.says.kind.read(value, field.name)
    field.check(found[field.name])


def write(value: Checked) -> dict[str, Json]:
    """Return the JSON of a value; what was left out is left out."""
    return {
        field.name: field.says.kind.write(held)
        for field in fields_of(type(value))
        if (held := getattr(value, field.name)) != field.default
    }


def write_masked(value: Checked) -> dict[str, Json]:
    """Return the JSON of a value with its personal data masked."""
    return {
        field.name: _write_masked(field.says, held)
        for field in fields_of(type(value))
        if (held := getattr(value, field.name)) != field.default
    }


def _write_masked(says: Field, held: object) -> Json:
    if says.mask is not None:
        return says.mask(str(held))
    if isinstance(held, Checked):
        return write_masked(held)
    if isinstance(held, tuple):
        return [_write_masked(_of_list(says), each) for each in held]
    return says.kind.write(held)


def _of_list(says: Field) -> Field:
    kind = says.kind
    return Field(says.chinese, kind.of) if isinstance(kind, Many) else says
