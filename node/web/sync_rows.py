"""Rows of the route table for the sync with the top-level node, and what the OpenAPI document says of them."""

from node.web.operations import (
    OPERATOR_PROBLEMS,
    TEXT,
    UNREADABLE,
    JsonObject,
    Operation,
    Responses,
    in_query,
)
from node.web.row import Row, Section
from node.web.sync import SyncApi

_TAG = "Sync with the top-level node"
_LIMIT: JsonObject = {"type": "integer", "minimum": 1, "maximum": 1_000}
_TABLE = in_query("table", "Of this table alone: `1` to `11`, `M1`, `M2`, `E`.", TEXT)
_IDLE: Responses = {409: "This instance does not send; the detail says why"}

_SHOW = Operation(
    "How the sync stands: session, serials, what waits of each table, clocks, certificate, the last comparison",
    (),
    {200: "The standing", **OPERATOR_PROBLEMS},
    tag=_TAG,
)
_REJECTED = Operation(
    "Rows that the top-level node did not take, each with its reason, by table and key",
    (
        _TABLE,
        in_query("after", "Rows behind this one; the answer before gives it as `after`.", TEXT),
        in_query("limit", "So many at most.", _LIMIT),
    ),
    {200: "The list; `after` when there may be more", **UNREADABLE, **OPERATOR_PROBLEMS},
    tag=_TAG,
)
_RETRY = Operation(
    "Send rows that were not taken once more, as they are: all, or those of a table, or one",
    (_TABLE, in_query("key", "The row with this key alone.", TEXT)),
    {200: "How many are sent", **UNREADABLE, **_IDLE, **OPERATOR_PROBLEMS},
    tag=_TAG,
)
_VERIFY = Operation(
    "Compare all rows with the top-level node's, and repair them there",
    (),
    {202: "It begins", **_IDLE, **OPERATOR_PROBLEMS},
    tag=_TAG,
)
_SNAPSHOT = Operation(
    "Begin a new session: for after this node's database was restored from a backup",
    (),
    {
        202: "Its name; all rows are compared, and those that differ are sent",
        **_IDLE,
        **OPERATOR_PROBLEMS,
    },
    tag=_TAG,
)


def sync_section(api: SyncApi) -> Section:
    """Return the rows."""
    rows = (
        Row("GET", "/v1/sync", api.show, _SHOW),
        Row("HEAD", "/v1/sync", api.show),
        Row("GET", "/v1/sync/rejected", api.rejected, _REJECTED),
        Row("HEAD", "/v1/sync/rejected", api.rejected),
        Row("POST", "/v1/sync/retry", api.retry, _RETRY),
        Row("POST", "/v1/sync/verify", api.verify, _VERIFY),
        Row("POST", "/v1/sync/snapshot", api.snapshot, _SNAPSHOT),
    )
    return Section(rows)
