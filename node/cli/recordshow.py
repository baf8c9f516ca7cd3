"""How `idnode record` shows records, histories, lists and what was written."""

import sys
from collections.abc import Iterator, Sequence

import orjson

from node.cli.output import Form, plain, print_json, print_rows
from resolver.client import Page, Record, Revisions, Written
from resolver.handlejson import values_to_json
from resolver.wire import HandleValue

VALUE_COLUMNS = ("handle", "index", "type", "data", "ttl", "permissions")  # as a load file has them
Json = dict[str, object]


def show_record(record: Record, form: Form) -> None:
    """Print a record; its CSV can be loaded again."""
    if form is Form.JSON:
        head: Json = {"handle": record.handle, "version": record.version}
        print_json(head | {"values": _json(record.values)})
    elif form is Form.CSV:
        rows = [(record.handle, *cells[:5]) for cells in _cells(record.values)]
        print_rows(form, VALUE_COLUMNS, rows)
    else:
        title = f"{record.handle}, version {record.version}" if record.version else record.handle
        columns = (*VALUE_COLUMNS[1:], "last changed")
        print_rows(form, columns, _cells(record.values), title=title)


def show_written(written: Written, done: str, form: Form) -> None:
    """Print what was done to a record, and its version now."""
    if form is Form.JSON:
        print_json(written._asdict())
    elif form is Form.CSV:
        print_rows(form, written._fields, [written])
    else:
        again = ", as was said before" if written.replayed else ""
        version = f", version {written.version}" if written.version else ""
        print(f"{done} {plain(written.handle)}{version}{again}")


def show_history(name: str, found: Revisions, form: Form) -> None:
    """Print revisions, the newest first."""
    if form is Form.JSON:
        print_json({"identifier": name, "revisions": [*_revisions(found)], "before": found.before})
        return
    columns = ("version", "at", "operation", "caller", "means", "origin", "reason", "values")
    rows = [
        (*(each[key] for key in columns[:-1]), _summary(each["values"], form))
        for each in _revisions(found)
    ]
    print_rows(form, columns, rows, title=name)
    if found.before:
        print(f"idnode: there may be older ones: --before {found.before}", file=sys.stderr)


def show_names(page: Page, form: Form) -> None:
    """Print names; a table is one name a line."""
    if form is Form.JSON:
        print_json({"handles": page.names, "after": page.after})
    elif form is Form.CSV:
        print_rows(form, ("handle",), [(name,) for name in page.names])
    else:
        for name in page.names:
            print(plain(name))
    if page.after and form is not Form.JSON:
        print(f"idnode: there are more: --after {plain(page.after)}", file=sys.stderr)


def _revisions(found: Revisions) -> Iterator[Json]:
    for revision in found.revisions:
        values = None if revision.values is None else _json(revision.values)
        yield {**revision._asdict(), "operation": revision.operation.value, "values": values}


def _summary(values: object, form: Form) -> str:
    """Of values as JSON: all in CSV, their number in a table."""
    if not isinstance(values, list):
        return "deleted"
    return orjson.dumps(values).decode() if form is Form.CSV else str(len(values))


def _json(values: Sequence[HandleValue]) -> list[Json]:
    found: list[Json] = orjson.loads(values_to_json(values))
    return found


def _cells(values: Sequence[HandleValue]) -> list[tuple[object, ...]]:
    """Rows of index, type, data, TTL, permissions and when it was last changed."""
    return [
        (
            value["index"],
            value["type"],
            _data(value["data"]),
            value["ttl"],
            value.get("permissions", ""),
            value.get("timestamp", ""),
        )
        for value in _json(values)
    ]


def _data(data: object) -> str:
    """Text as it is; anything else as the object that a load file takes."""
    if isinstance(data, dict) and data.get("format") == "string":
        return str(data["value"])
    return orjson.dumps(data).decode()
