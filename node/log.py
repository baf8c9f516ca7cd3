"""The log: one JSON object a line on standard error, one line an event, none for a resolution.

`logger.info("process ended", extra={"child": "worker-0", "code": -9})` becomes
`{"time": "…", "level": "info", "process": "supervisor", "event": "process ended", "child": "worker-0", "code": -9}`.
The names in `extra` must not be those of a LogRecord (`name`, `args`, `module`, `process`): logging refuses them.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


class JsonLine(logging.Formatter):
    """Formats a record as one line of JSON; an exception becomes `error` and `traceback`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "event": record.getMessage(),
        }
        line.update(
            (name, value) for name, value in record.__dict__.items() if name not in _STANDARD
        )
        if record.exc_info and record.exc_info[1]:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(process: str, *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send every logger of this process to standard error; `process` says which one it is."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLine(process))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for each request to a peer
