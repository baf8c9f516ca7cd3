"""Problem: one problem document of HTTP (RFC 9457), in the one shape that all of our interfaces give."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

PROBLEM_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: an HTTP status, our word for the kind of problem, and a sentence for a person.

    `kind` is stable, for programs; `detail` may change.
    """

    status: int
    kind: str
    detail: str = ""

    def __post_init__(self) -> None:
        HTTPStatus(self.status)

    def encode(self, **members: object) -> bytes:
        """Return the JSON document, with further members after the standard ones."""
        document = {
            "type": f"/docs#{self.kind}",
            "title": self.kind.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail or HTTPStatus(self.status).description,
        }
        return orjson.dumps(document | members)
