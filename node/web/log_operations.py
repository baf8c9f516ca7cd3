"""Operations of the log of what was counted."""

from node.web.operations import (
    FLAG,
    OPERATOR_PROBLEMS,
    TEXT,
    UNREADABLE,
    JsonObject,
    Operation,
    in_path,
    in_query,
)

_TAG = "Audit log"
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_LIMIT: JsonObject = {"type": "integer", "minimum": 1, "maximum": 1_000}
_AWAY: dict[int | str, str] = {503: "The log cannot be read, or the database is away"}

SHOW_CHECKPOINT = Operation(
    "The newest checkpoint of the log (C2SP tlog-checkpoint), signed by the log alone",
    (),
    {200: "A signed note", 404: "Nothing was published yet", **_AWAY},
    tag=_TAG,
)
SHOW_TILE = Operation(
    "A tile of hashes, `<level>/<number>[.p/<width>]`, or a bundle of entries, `entries/…` (C2SP tlog-tiles)",
    (in_path("path", "Which one, such as `0/x001/067`."),),
    {200: "The bytes; they never change", 404: "The published log has no such tile", **_AWAY},
    tag=_TAG,
)
SHOW_HEAD = Operation(
    "A checkpoint that the quorum of witnesses has cosigned",
    (in_path("name", "`<size>.note`, or `newest.note`."),),
    {200: "A signed note", 404: "No head of this size was cosigned", **_AWAY},
    tag=_TAG,
)
SHOW_INDEX = Operation(
    "A file of the evidence index: days as Go modules (`proxy/…`), and their checksum database (`sumdb/…`)",
    (in_path("path", "Which one, such as `sumdb/latest`."),),
    {200: "The bytes", 404: "The evidence index has no such file", **_AWAY},
    tag=_TAG,
)
PROVE_LEAF = Operation(
    "A leaf of the log, and the proof that it is in it, as one file (C2SP tlog-proof)",
    (in_path("index", "Its index, from 0."),),
    {
        200: "The proof; `extra` holds the leaf",
        400: "This is no index",
        404: "The published log has no such leaf",
        **_AWAY,
    },
    tag=_TAG,
)
PROVE_RECORD = Operation(
    "A record, and the proof that it was counted, as one file (C2SP tlog-proof)",
    (in_path("name", "`<lane>.<epoch>.<seq>.<nonce>`, as the header `X-Idnode-Receipt` has it."),),
    {
        200: "The proof; `extra` holds the leaf, the record, and the path between them",
        400: "This is no name of a record",
        404: "The published log has no such record, or not yet",
        410: "The record was deleted after its time",
        **_AWAY,
    },
    tag=_TAG,
)
SEAL_NOW = Operation(
    "Have all that was counted sealed, signed and put before the witnesses now, without waiting for the minute",
    (),
    {
        200: "`size`: the leaves of the published tree; its cosigned head follows within seconds",
        429: "This was asked for less than five seconds ago, or too many wrong tries to log in",
        **OPERATOR_PROBLEMS,
    },
    tag=_TAG,
)
LIST_SOURCES = Operation(
    "Who asked on a day, the busiest first: networks of /24 and /48, with requests and successes in production",
    (
        in_query("day", "The day, such as 2026-11-03, of the last 35.", TEXT),
        in_query("prefix", "Of this registered prefix alone; empty: of none.", TEXT),
        in_query("full", "Addresses instead of networks; that is logged.", FLAG),
        in_query("after", "Lines after so many; the answer before gives it as `after`.", _COUNT),
        in_query("limit", "So many at most.", _LIMIT),
    ),
    {
        200: "The list; `after` when there may be more",
        **UNREADABLE,
        **OPERATOR_PROBLEMS,
    },
    tag=_TAG,
)
