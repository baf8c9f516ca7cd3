"""Labels: what the standard calls the fields of a table, for the page: `entity.organisation.name` is 单位名称."""

from collections.abc import Iterator
from functools import cache

from sync.channels.tables import TABLES, Field, Kind, Many, Part


@cache
def labels_of(number: str) -> dict[str, str]:
    """Return the Chinese name of each field that holds a value, by its path without places in lists."""
    table = TABLES.get(number)
    return dict(_labels(table.fields, "")) if table is not None else {}


def _labels(fields: tuple[Field, ...], above: str) -> Iterator[tuple[str, str]]:
    for field in fields:
        path, inner = f"{above}{field.name}", _inner(field.kind)
        if isinstance(inner, Part):
            yield from _labels(inner.fields, f"{path}.")
        else:
            yield path, field.chinese.partition("：")[0]  # behind the colon stand the choices


def _inner(kind: Kind) -> Kind:
    return kind.of if isinstance(kind, Many) else kind
