"""Operations of look-ups that are not of one identifier: many at once, and in reverse."""

from node.web.operations import TEXT, JsonObject, Operation, in_query

_ITEM: JsonObject = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["identifier"],
            "additionalProperties": False,
            "properties": {
                "identifier": {"type": "string"},
                "scheme": {"type": "string"},
                "types": {"type": "array", "items": {"type": "string"}},
                "indexes": {"type": "array", "items": {"type": "integer"}},
            },
        },
    ]
}
RESOLVE_MANY = Operation(
    "Resolve many identifiers; the answer has one line for each, in their order",
    (),
    {
        200: "NDJSON: for each item what GET answers, each with its own `status`",
        400: "The body is empty, or no JSON array",
        413: "More than 1,000 items, or 1 MiB",
        503: "Too many such requests are under way",
    },
    {
        "required": True,
        "content": {
            "application/x-ndjson": {"schema": TEXT},
            "application/json": {"schema": {"type": "array", "items": _ITEM, "maxItems": 1_000}},
        },
    },
    tag="Resolution",
)
SEARCH = Operation(
    "The handles whose public values match: each further parameter is a type and a pattern, such as `URL=*example*`",
    (
        in_query("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 10_000}),
        in_query("page", "Pages of `limit` handles to skip.", {"type": "integer", "minimum": 0}),
        in_query("after", "Handles after this one; the Link header says it.", TEXT),
    ),
    {
        200: "The handles",
        400: "No pattern, or one that matches too much",
        401: "Log in",
        403: "Log in, but not on plain HTTP; or this token may not list handles",
        429: "Too many wrong tries",
        501: "Switched off by the settings",
        503: "The index is being made, or the database is away",
    },
    tag="Resolution",
)
