"""Tables for programs that know such reports: a CSV like COUNTER's, and a YAML like RSSAC002's; of the document alone.

They have the shape and not the meaning of those: a resolution is no download of a journal, and no query of the root.
"""

import csv
import io
import json
from collections.abc import Iterator

from node.ledger.report.texts import Document

_METRICS = {
    "requests": "Total_Requests",
    "raw": "Raw_Resolutions",
    "filtered": "Filtered_Resolutions",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def counter_csv(document: bytes) -> str:
    """Return a table with a row for each prefix and metric, behind a header like that of COUNTER 5.1."""
    said: Document = json.loads(document)
    period = said["period"]
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    first, last = period["days"][:1], period["days"][-1:]
    rows.writerows(
        [
            ["Report_Name", "Resolutions by prefix" + (" SAMPLE 样例" if said["sample"] else "")],
            ["Report_ID", "IDR"],
            ["Release", said["schema"]],
            ["Institution_Name", _plain(said["node"]["operator"] or said["node"]["name"])],
            ["Metric_Types", "; ".join(_METRICS.values())],
            [
                "Reporting_Period",
                f"begin_date={''.join(first)}; end_date={''.join(last)}; tz={period['tz']}",
            ],
            ["Created_By", said["origin"]],
            [],
            ["Item", "Data_Type", "Metric_Type", "Reporting_Period_Total"],
        ]
    )
    for each in said["by_prefix"]:
        for name, metric in _METRICS.items():
            rows.writerow([_plain(each["prefix"]), each["scheme"], metric, each[name]])
    return written.getvalue()


def daily_yaml(document: bytes) -> str:
    """Return two YAML documents for each day, like the traffic-volume and unique-sources of RSSAC002."""
    said: Document = json.loads(document)
    return "".join(_daily(said))


def _daily(said: Document) -> Iterator[str]:
    for each in said["by_day"]:
        volume = {
            "requests-received": each["requests"],
            "resolutions-raw": each["raw"],
            "resolutions-filtered": each["filtered"],
            **{f"class-{name}": each[name] for name in ("test", "self", "robot", "suspect")},
        }
        yield _metric(said, each, "traffic-volume", volume)
        sources = {"num-sources": each["clients"], "num-identifiers": each["identifiers"]}
        yield _metric(said, each, "unique-sources", sources)


def _metric(said: Document, day: Document, name: str, values: dict[str, int]) -> str:
    lines = [
        "---",
        f"version: {said['schema']}",
        f"service: {json.dumps(said['origin'])}",
        f"sample: {'true' if said['sample'] else 'false'}",
        f'start-period: "{day["day"]}T00:00:00+08:00"',
        f'end-period: "{day["day"]}T23:59:59+08:00"',
        f"metric: {name}",
        *(f"{key}: {value}" for key, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
