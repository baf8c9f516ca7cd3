"""What the fields of a value are, said once, beside their types: Chinese name, kind, and the mask of personal data.

    name: Annotated[str, Field("联系人姓名", Text(128), mask=mask_name)]

A field with a default may be left out; what equals its default counts as left out.  A field with a mask is personal
data: it is sealed at rest, shown masked in lists, and never logged.  Nothing else says what is personal (`personal`).
"""

from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from node.model.kind import Kind
from node.model.mask import Mask


@dataclass(frozen=True, slots=True)
class Field:
    """A field: Chinese name, kind, and its mask if it is personal data."""

    chinese: str
    kind: Kind
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field of a class, with its name and default."""

    name: str
    says: Field
    default: object = MISSING

    @property
    def is_required(self) -> bool:
        return self.default is MISSING

    def check(self, value: object) -> None:
        """Raise ModelError unless the value is allowed, or left out where it may be."""
        if self.is_required or value != self.default:
            self.says.kind.check(value, self.name)


class Checked:
    """A value whose fields are checked when it is made, each alone and then together."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            field.check(getattr(self, field.name))
        self.check_together()

    def __repr__(self) -> str:
        """Return the fields with personal data masked: a value may end up in a log or a traceback."""
        shown = (_show(field, getattr(self, field.name)) for field in fields_of(type(self)))
        return f"{type(self).__name__}({', '.join(shown)})"

    def check_together(self) -> None:
        """Raise ModelError unless the fields fit each other; each has been checked alone."""


def fields_of(of: type[Any]) -> tuple[NamedField, ...]:
    """Return the fields of a class in their order."""
    whose: Any = of  # the type checker takes a class for something that cannot be a key
    return _fields_of(whose)


@cache
def _fields_of(of: Any) -> tuple[NamedField, ...]:
    hints = get_type_hints(of, include_extras=True)
    return tuple(
        NamedField(each.name, _says(of, each.name, hints[each.name]), each.default)
        for each in fields(of)
    )


def _show(field: NamedField, held: object) -> str:
    mask = field.says.mask
    return f"{field.name}={held if mask is None else mask(str(held))!r}"


def _says(of: type[Any], name: str, hint: object) -> Field:
    found = [each for each in get_args(hint) if isinstance(each, Field)]
    if get_origin(hint) is not Annotated or len(found) != 1:
        raise TypeError(f"{of.__name__}.{name} does not say what it is: Annotated[…, Field(…)]")
    return found[0]
