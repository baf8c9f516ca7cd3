"""Master records (表9), made from the records when they are sent: the record is the truth, and is not stored twice.

The identifier is the record's canonical key, which is also the row's; a deleted record keeps its row.  No row have the
records of prefixes (`0.NA/…`), which 表7 and 表8 speak of, and identifiers that the table does not take.
"""

from datetime import datetime, timedelta, timezone

from node.model.master import Operation
from resolver.identifier import PREFIX_HANDLE
from sync.change import Row
from sync.channels.tables import MASTER_RECORD, Fault

SHANGHAI = timezone(timedelta(hours=8))  # no summer time since 1991
FIRST_VERSION = 1


def master_row(key: bytes, created_at: datetime, operation: Operation) -> Row | None:
    """Return the row of a record with this canonical key, or None when it has none."""
    if key.startswith(PREFIX_HANDLE):
        return None
    try:
        identifier = key.decode()
        body = MASTER_RECORD.encode(
            {
                "identifier": identifier,
                "created": created_at.astimezone(SHANGHAI).date().isoformat(),
                "operation": int(operation),
            }
        )
    except (UnicodeDecodeError, Fault):
        return None
    return Row(MASTER_RECORD.number, identifier, body)


def operation_of(version: int, *, is_gone: bool) -> Operation:
    """Return what the newest step of a record was: its version counts them."""
    if is_gone:
        return Operation.DELETE
    return Operation.NEW if version == FIRST_VERSION else Operation.CHANGE
