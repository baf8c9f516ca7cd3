"""Operations of bulk jobs and exports, on the admin listener."""

from node.registry.loadfile import LoadFormat
from node.store.jobs import JobFormat, JobKind
from node.web.operations import FLAG, TEXT, Operation, in_path, in_query

_TAG = "Bulk"

_JOB = in_path("job", "The number of the job.")
_ERRORS: dict[int | str, str] = {
    400: "A parameter is wrong",
    401: "Log in: this is for operators",
    403: "Not an operator; or credentials over plain HTTP",
    429: "Too many wrong logins",
    503: "The database cannot be reached, or too many jobs or exports wait",
}
_OF_ONE: dict[int | str, str] = {**_ERRORS, 404: "No such job"}

SUBMIT_JOB = Operation(
    "Hand in a bulk job; the body is the file",
    (
        in_query(
            "format",
            "What the body is; by its Content-Type when left out.",
            {"enum": [*JobFormat], **TEXT},
        ),
        in_query(
            "kind",
            "Records as they are to be, or rows with operations.",
            {"enum": [*JobKind], **TEXT},
        ),
        in_query("dry_run", "Only say what would happen.", FLAG),
        in_query("delegated", "0.NA/ rows that do not say delegate their prefix.", FLAG),
        in_query("name", "What the file is called.", TEXT),
        in_query("reason", "Why; it goes into the versions.", TEXT),
    ),
    {
        202: "The job waits; Location says where to look after it",
        **_ERRORS,
        408: "The upload came to a standstill",
        413: "The file is too large",
        507: "The disk is nearly full",
    },
    {
        "required": True,
        "content": {
            "application/x-ndjson": {"schema": TEXT},
            "text/csv": {"schema": TEXT},
            "text/plain": {"schema": TEXT},
        },
    },
    tag=_TAG,
)
LIST_JOBS = Operation(
    "Jobs, the newest first",
    (
        in_query("before", "Jobs before this number.", {"type": "integer", "minimum": 1}),
        in_query("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": 100}),
    ),
    {200: "The jobs", **_ERRORS},
    tag=_TAG,
)
SHOW_JOB = Operation("How far a job has come", (_JOB,), {200: "The job", **_OF_ONE}, tag=_TAG)
CANCEL_JOB = Operation(
    "Stop a job; what it has done stays", (_JOB,), {202: "The job", **_OF_ONE}, tag=_TAG
)
SHOW_RESULTS = Operation(
    "What became of each row so far",
    (_JOB,),
    {200: "NDJSON: row, handle, outcome, and why or which indexes", **_OF_ONE},
    tag=_TAG,
)
EXPORT = Operation(
    "All records, or those of a prefix, as a load file",
    (
        in_query("prefix", "The records of this prefix and of those below it.", TEXT),
        in_query("format", "NDJSON when left out.", {"enum": [*LoadFormat], **TEXT}),
        in_query("public_only", "Leave out values that not everybody may read.", FLAG),
    ),
    {200: "The records; Link says where the manifest is, once the export is complete", **_ERRORS},
    tag=_TAG,
)
SHOW_MANIFEST = Operation(
    "The manifest of an export that is complete, as sha256sum checks it",
    (in_path("export", "As the Link header of the export says."),),
    {200: "The manifest", **_ERRORS, 404: "No such export, or not complete yet"},
    tag=_TAG,
)
