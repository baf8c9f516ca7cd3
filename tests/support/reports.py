"""A report's document for tests: small, whole, and with texts that would be markup if anybody let them."""

from node.ledger.canonical import Json, canonical
from node.ledger.report.document import SCHEMA

HOSTILE = "<script>alert(1)</script> #panic() & \"quoted\" 'x' \\ $x$ *b*"
DAY = "2026-11-03"


def made_document(**changes: Json) -> bytes:
    """Return a document with some of its members changed."""
    both: dict[str, Json] = {"zh": HOSTILE, "en": HOSTILE}
    tally: dict[str, Json] = {"requests": 30, "raw": 20, "filtered": 10}
    reached: dict[str, Json] = {
        "filtered": {"day": DAY, "day_leaf": 9, "leaf": 7, "t": 1_793_700_000_000_000},
        "raw": {"day": DAY, "day_leaf": 9},
    }
    met: dict[str, Json] = {
        "no": 2,
        "text": both,
        "standing": "pass",
        "metric": "filtered",
        "scope": "cumulative",
        "at_least": 5,
        "value": 10,
        "margin": 5,
        "reached": reached,
    }
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "report_version": 1,
        "sample": True,
        "origin": "log.example/ledger",
        "node": {
            "name": HOSTILE,
            "operator": HOSTILE,
            "licence": "",
            "keys": [],
            "prefixes": 1,
            "prefixes_sha256": "",
        },
        "period": {
            "month": "2026-11",
            "start": 1_793_462_400_000_000,
            "end": 1_796_054_400_000_000,
            "tz": "Asia/Shanghai",
            "utc": ["2026-10-31T16:00:00Z", "2026-11-30T16:00:00Z"],
            "days": [DAY],
            "complete": False,
        },
        "log": {"size": 10, "answered": 26, "blocks": 3, "last_head": ""},
        "totals": {
            **tally,
            "test": 1,
            "self": 2,
            "robot": 3,
            "suspect": 4,
            "failures": 5,
            "prefix_lookups": 4,
            "repeats": 2,
            "carried": [0, 0],
            "identifiers_daily": [8, 8],
            "clients_daily": [6, 6],
        },
        "cumulative": {
            "since": DAY,
            "cumulative": {"raw": 20, "filtered": 10},
            "year": {"raw": 20, "filtered": 10},
        },
        "by_day": [
            {"day": DAY, "leaf": 9, **tally, "identifiers": 8, "clients": 6, "answered": 26}
            | {"test": 1, "self": 2, "robot": 3, "suspect": 4}
        ],
        "by_hour_profile": [{"raw": 2, "filtered": 1}] * 24,
        "by_class": [{"class": "production", "requests": 30, "successes": 26}],
        "by_proto": [{"proto": "udp", **tally}],
        "by_scheme": [{"scheme": "", **tally}],
        "by_result": [{"result": 1, "name": "success", "requests": 26}],
        "by_prefix": [
            {
                "no": 1,
                "scheme": "handle",
                "prefix": f"={HOSTILE}",
                **tally,
                "failures": 5,
                "identifiers_daily": 8,
            }
        ],
        "thresholds": [
            {
                "id": "x",
                "name": both,
                "text": both,
                "conditions": [
                    {"no": 1, "text": both, "standing": "attached", "shown_by": both},
                    met,
                ],
            }
        ],
        "gaps": [
            {"leaf": 3, "lane": 1, "epoch": 1, "from": 1, "to": 2, "bound": 7, "cause": HOSTILE}
        ],
        "uncounted_upper_bound": 7,
        "campaigns": [{"no": 1, "opened_leaf": 2, "from": 1, "until": 2, "planned": 3}],
        "policies": [{"no": 1, "leaf": 1, "from": 0, "sha256": "ab" * 32}],
        "rules": {"text": HOSTILE},
        "witnesses": [{"name": HOSTILE, "key": "k", "cosigned_heads": 0, "longest_gap_s": 0}],
        "reconciliation": [{"rule": "V1", "verdict": "PASS", "text": HOSTILE}],
        "statistics": {
            "repeats_ppm": 1,
            "within_window_ppm": 2,
            "busiest_prefix_ppm": 3,
            "busiest_day": DAY,
            "prefixes_asked_for": 1,
        },
    }
    return canonical({**document, **changes})
