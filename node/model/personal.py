"""Personal data (个人信息): which fields have it, and a value split into what may lie open and what is to be sealed.

    open_part, personal = split(entity)       JSON without personal data; the personal texts by their paths
    read(Entity, join(open_part, personal))   the value again

The store keeps `personal` sealed, with a key that is not in the database; what it indexes and lists is the open part.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from node.model.field import Checked, fields_of
from node.model.form import Part, write
from node.model.kind import Json, Kind, Many
from node.model.mask import Mask


def split(value: Checked) -> tuple[dict[str, Json], dict[str, str]]:
    """Return the JSON of a value without its personal data, and that data by path (`contact.phone`)."""
    open_part, personal = write(value), dict[str, str]()
    _take_out(type(value), open_part, "", personal)
    return open_part, personal


def join(open_part: Mapping[str, Json], personal: Mapping[str, str]) -> dict[str, Json]:
    """Return the whole JSON of a value that was split.  Raises LookupError when the two do not belong together."""
    whole: dict[str, Any] = deepcopy(dict(open_part))
    for path, text in personal.items():
        *above, last = path.split(".")
        holder: Any = whole
        for name in above:
            holder = holder[int(name)] if isinstance(holder, list) else holder[name]
        holder[last] = text
    return whole


def _take_out(
    kind: type[Checked], written: dict[str, Json], path: str, into: dict[str, str]
) -> None:
    for field in fields_of(kind):
        if field.name not in written:
            continue
        if field.says.mask is not None:
            into[path + field.name] = str(written.pop(field.name))
        else:
            _take_out_below(field.says.kind, written[field.name], path + field.name, into)


def _take_out_below(kind: Kind, written: Json, path: str, into: dict[str, str]) -> None:
    if isinstance(kind, Part) and isinstance(written, dict):
        _take_out(kind.of, written, f"{path}.", into)
    elif isinstance(kind, Many) and isinstance(written, list):
        for place, each in enumerate(written):
            _take_out_below(kind.of, each, f"{path}.{place}", into)


def personal_fields(kind: type[Checked], above: str = "") -> Iterator[tuple[str, Mask]]:
    """Yield the paths of the personal data in values of a class, and their masks; `*` stands for each of a list."""
    for field in fields_of(kind):
        path, inner = above + field.name, field.says.kind
        if field.says.mask is not None:
            yield path, field.says.mask
        if isinstance(inner, Many):
            path, inner = f"{path}.*", inner.of
        if isinstance(inner, Part):
            yield from personal_fields(inner.of, f"{path}.")


def has_personal(kind: type[Checked]) -> bool:
    """True when values of a class may hold personal data."""
    return next(personal_fields(kind), None) is not None


def personal_texts(value: Checked) -> Iterator[str]:
    """Yield the personal data that a value holds, so that a test can look for what must not leak."""
    for field in fields_of(type(value)):
        held = getattr(value, field.name)
        if field.says.mask is not None and held:
            yield str(held)
        for each in held if isinstance(held, tuple) else (held,):
            if isinstance(each, Checked):
                yield from personal_texts(each)
