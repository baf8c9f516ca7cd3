"""How `idnode enterprise` and its neighbours show objects of the model: one, many, a step that was taken, a history."""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from node.cli.output import Form, plain, print_json, print_rows

Json = dict[str, object]
HISTORY_COLUMNS = ("version", "at", "action", "state", "caller", "means", "origin", "reason")


class Column(NamedTuple):
    """A column of a list: its name, and the path of what it shows."""

    name: str
    path: str


def show_object(held: Json, form: Form) -> None:
    """Print an object: its fields by their paths, one a line."""
    if form is Form.JSON:
        print_json(held)
        return
    rows = [(path, cell) for path, cell in _fields(held.get("value"), "")]
    print_rows(form, ("field", "value"), rows, title=f"{_name(held)}: {_standing(held)}")


def show_objects(content: Json, plural: str, columns: Sequence[Column], form: Form) -> None:
    """Print a list of objects."""
    if form is Form.JSON:
        print_json(content)
        return
    held = [each for each in _list(content, plural) if isinstance(each, dict)]
    rows = [[_cell(_at(each, column.path)) for column in columns] for each in held]
    print_rows(form, [column.name for column in columns], rows)
    if content.get("after"):
        after = plain(str(content["after"]))
        print(f"idnode: there may be more: --after '{after}'", file=sys.stderr)


def show_step(held: Json, form: Form) -> None:
    """Print where an object stands after a step."""
    if form is Form.JSON:
        print_json(held)
    else:
        print(f"{_name(held)} is {_standing(held)}")


def show_steps(content: Json, form: Form) -> None:
    """Print a history, the oldest step first."""
    if form is Form.JSON:
        print_json(content)
        return
    steps = [each for each in _list(content, "steps") if isinstance(each, dict)]
    rows = [[_cell(each.get(name)) for name in HISTORY_COLUMNS] for each in steps]
    print_rows(form, HISTORY_COLUMNS, rows, title=str(content.get("id", "")))
    if content.get("after"):
        print(f"idnode: there may be more: --after {content['after']}", file=sys.stderr)


def _name(held: Json) -> str:
    return plain(f"{held.get('kind', '')} {held.get('id', '')}")


def _standing(held: Json) -> str:
    """`in_review, version 2; next: approve, reject`, as the words of the command line are."""
    steps = [str(each).replace("_", "-") for each in _list(held, "actions")]
    steps += [f"hosting {each}" for each in _list(held, "hosting_actions")]
    after = f"; next: {', '.join(steps)}" if steps else ""
    return plain(f"{held.get('state', '')}, version {held.get('version', '')}{after}")


def _fields(value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield the paths and texts of all that a value holds."""
    if isinstance(value, dict):
        below = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        below = [(str(place), each) for place, each in enumerate(value)]
    else:
        yield path, _cell(value)
        return
    for name, each in below:
        yield from _fields(each, f"{path}.{name}" if path else name)


def _at(held: Json, path: str) -> object:
    found: object = held
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _list(content: Json, name: str) -> Sequence[object]:
    found = content.get(name)
    return found if isinstance(found, list) else ()


def _cell(value: object) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return "" if value is None else orjson.dumps(value).decode()
