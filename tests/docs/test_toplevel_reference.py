"""The reference of the simulated top-level node: every route, code of rejection and fault, as they are."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.routing import Route

from node.toplevel import judging
from node.toplevel.faults import Faults
from node.toplevel.listeners import channel_app, page_app
from node.toplevel.mischief import FORGETFUL
from node.toplevel.page import Page

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "toplevel.md").read_text(
    "utf-8"
)


class Anything:
    """Stands where an endpoint's object would."""

    def __getattr__(self, _name: str) -> Any:
        async def endpoint(_request: object) -> None: ...

        return endpoint


NOTHING = cast("Any", Anything())


def rows(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def documented(heading: str) -> dict[str, set[str]]:
    return {path.strip("`"): set(methods.split()) for path, methods, _ in rows(heading)}


def served(app: Starlette) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        methods = found.setdefault(re.sub(":path}", "}", route.path), set())
        methods |= set(route.methods or ())
    return found


def test_every_route_is_documented() -> None:
    assert documented("What the node speaks to") == served(channel_app(NOTHING))
    assert documented("The page") == served(page_app(Page(), *[NOTHING] * 5, names=()))


def test_every_code_of_rejection_is_documented() -> None:
    codes = {judging.BY_HAND, judging.CORRECTION, judging.UNKNOWN_TABLE, *judging.ACROSS}
    assert {name.strip("`") for name, _ in rows("What it rejects")} == codes


def test_every_fault_is_documented() -> None:
    known = {each.name for each in fields(Faults)} - {"slow_ms"} | {"slow", FORGETFUL}
    assert {name.strip("`") for name, _, _ in rows("Faults")} == known
