"""The tables that are kept equal at the national top-level node: 表1 to 表11, monitoring (M1, M2) and state events (E).

Public: the subjects, fields and cadences (annexes 1 and 2 of the access guide, secondary-node §5.2, §5.3).  Not public,
and our proposal: the bytes.  docs/reference/tables.md lists every field, and which is which.

Sender: `TABLES["6"].encode(row)` and `.key_of(row)`.  Receiver: `TABLES["6"].check(body, key=key)` is the verdict,
`.decode(body)` the row.  A deletion has a key and no body, and is no concern of this channel.
"""

from sync.channels.tables.applications import ENTERPRISE_APPLICATION, NODE_APPLICATION
from sync.channels.tables.counts import ENTERPRISE_COUNT, MAX_SOURCES, NODE_COUNT
from sync.channels.tables.entities import ENTERPRISE, OPERATOR
from sync.channels.tables.kind import Code, Fault, Field, Kind, Many, Part, Row
from sync.channels.tables.masters import MASTER_RECORD
from sync.channels.tables.metadata import ENTERPRISE_TEMPLATE, NODE_TEMPLATE
from sync.channels.tables.monitoring import (
    ENTERPRISE_PERFORMANCE,
    NODE_PERFORMANCE,
    STATE_EVENT,
)
from sync.channels.tables.routes import ENTERPRISE_ROUTE, NODE_ROUTE
from sync.channels.tables.table import ACCEPTED, MAX_ROW_BYTES, Table, Verdict

TABLES = {
    table.number: table
    for table in (
        OPERATOR,
        NODE_ROUTE,
        NODE_COUNT,
        NODE_TEMPLATE,
        NODE_APPLICATION,
        ENTERPRISE,
        ENTERPRISE_ROUTE,
        ENTERPRISE_COUNT,
        MASTER_RECORD,
        ENTERPRISE_APPLICATION,
        ENTERPRISE_TEMPLATE,
        NODE_PERFORMANCE,
        ENTERPRISE_PERFORMANCE,
        STATE_EVENT,
    )
}

__all__ = [
    "ACCEPTED",
    "ENTERPRISE",
    "ENTERPRISE_APPLICATION",
    "ENTERPRISE_COUNT",
    "ENTERPRISE_PERFORMANCE",
    "ENTERPRISE_ROUTE",
    "ENTERPRISE_TEMPLATE",
    "MASTER_RECORD",
    "MAX_ROW_BYTES",
    "MAX_SOURCES",
    "NODE_APPLICATION",
    "NODE_COUNT",
    "NODE_PERFORMANCE",
    "NODE_ROUTE",
    "NODE_TEMPLATE",
    "OPERATOR",
    "STATE_EVENT",
    "TABLES",
    "Code",
    "Fault",
    "Field",
    "Kind",
    "Many",
    "Part",
    "Row",
    "Table",
    "Verdict",
]
