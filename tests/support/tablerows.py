"""An honest row of each sync table, by the table's number."""

from copy import deepcopy
from typing import Any

from tests.support.model import entity_form, template_form

_DAY = "2026-01-31"
_SITE = {"ip_type": "4", "ip": "192.0.2.1", "tcp_port": 2641, "udp_port": 2641}
_COUNTS = {
    "day": _DAY,
    "requests": 10,
    "successes": 9,
    "part": 1,
    "parts": 1,
    "sources": [
        {"ip": "192.0.2.7", "resolutions": 6},
        {"ip": "2001:db8::7", "resolutions": 4},
    ],
}
_FIGURES = {
    "day": _DAY,
    "resolution_mean": "0.4",
    "resolution_max": "12.345",
    "resolution_max_at": "2026-01-31T08:00:01Z",
    "resolution_min": "0.012",
    "resolution_min_at": "2026-01-31T08:00:02Z",
    "resolution_peak": 900,
    "resolution_peak_at": "2026-01-31T08:00:03Z",
}


def _operator() -> dict[str, Any]:
    entity = entity_form()
    entity["organisation"]["certificate_photo"] = "f1"
    entity["organisation"]["legal_person"]["photo_front"] = "f2"
    entity["website"] = {"name": "示例", "domain": "id.example.com", "addresses": ["2001:db8::1"]}
    entity["industries"] = [{"section": "C", "division": "34"}]
    entity["verification"] = {"by": 1}
    entity["naming_standard"] = "GB/T 1"
    return {"prefix": "88.118", "entity": entity}


def _application() -> dict[str, Any]:
    return {"name": "追溯", "type": 2, "users": 12, "developer": "示例软件公司"}


def table_rows() -> dict[str, dict[str, Any]]:
    """Return one row a table, new each time, so that a test may change it."""
    rows = {
        "1": _operator(),
        "2": {"identifier_type": "vaa", "prefix": "88.118", "sites": [dict(_SITE)]},
        "3": {"prefix": "88.118", "new_prefixes": 1, "prefixes": 7} | _COUNTS,
        "4": template_form(),
        "5": _application(),
        "6": {
            "enterprise": "e1",
            "upstream_id": "ENT-7",
            "verification": {"passed": True, "on": _DAY, "method": "营业执照核验"},
            "entity": entity_form(),
        },
        "7": {
            "enterprise": "e1",
            "identifier_type": "vaa",
            "prefix": "88.118.8",
            "sites": [dict(_SITE)],
        },
        "8": {"prefix": "88.118.8", "new_identifiers": 100, "identifiers": 70_000} | _COUNTS,
        "9": {
            "identifier": "88.118.8/JXDY2106023",
            "created": _DAY,
            "template": "88.118.8/META_BEARING",
            "operation": 1,
            "name": "轴承",
        },
        "10": {"enterprise": "e1"} | _application(),
        "11": template_form() | {"state": "published"},
        "M1": {"prefix": "88.118"} | _FIGURES,
        "M2": {"prefix": "88.118.8"} | _FIGURES,
        "E": {
            "event": "e-2",
            "prefix": "88.118",
            "type": "recovered",
            "answers": "e-1",
            "at": "2026-01-31T08:00:00Z",
            "cause": "机房断电",
            "cause_class": 2,
        },
    }
    return deepcopy(rows)
