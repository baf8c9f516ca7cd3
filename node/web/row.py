"""Row: one line of the route table; and a part of the table that only one process needs, with the schemas it names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import Response

from node.web.operations import JsonObject, Operation

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; without an operation it is left out of the OpenAPI document."""

    methods: str
    path: str
    endpoint: Endpoint
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Some rows, and the schemas that their operations name; made where it is served, so that nobody else loads it."""

    rows: tuple[Row, ...]
    schemas: JsonObject = field(default_factory=dict)
