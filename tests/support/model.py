"""Forms that are filled in well, with invented people; tests change one thing in them.

The credit code is invented too; the ID card's number is the example of GB 11643.
"""

from copy import deepcopy
from typing import Any

CREDIT_CODE = "91370700MA0000007H"
ID_CARD = "11010519491231002X"
PERSONAL = (
    "张伟明",
    "13800138000",
    "zhang@example.com",
    ID_CARD,
    "李小红",
    "0536-8000001",
    "li@example.com",
    "E12345678",
)

_ORGANISATION = {
    "name": "潍坊示例轴承有限公司",
    "nature": 2,
    "province": "370000",
    "city": "370700",
    "county": "370705",
    "address": "健康东街1号",
    "certificate_type": 1,
    "certificate_number": CREDIT_CODE,
    "section": "C",
    "division": "34",
    "founded": "2010-05-01",
    "website": "https://bearing.example.com",
    "legal_person": {
        "name": "张伟明",
        "certificate_type": 1,
        "certificate_number": ID_CARD,
        "phone": "13800138000",
        "email": "zhang@example.com",
    },
    "contact": {
        "name": "李小红",
        "certificate_type": 2,
        "certificate_number": "E12345678",
        "phone": "0536-8000001",
        "email": "li@example.com",
    },
}

_ENTITY = {
    "organisation": _ORGANISATION,
    "installations": [
        {"system": 1, "deployment": 2, "cloud": "示例云", "endpoints": ["[192.0.2.1]:8443"]},
        {"system": 2, "deployment": 2, "cloud": "示例云"},
        {"system": 3, "deployment": 2, "cloud": "示例云"},
        {
            "system": 4,
            "deployment": 1,
            "province": "370000",
            "city": "370700",
            "address": "健康东街1号",
        },
    ],
    "built": {"by": 1},
    "operated": {"by": 2, "party": "示例运维公司"},
}

_TEMPLATE = {
    "name": "88.118.8/META_BEARING",
    "version": "1.0",
    "industry": {"section": "C", "division": "34", "group": "345", "subclass": "3451"},
    "carrier": 2,
    "attributes": [
        {"index": 2000, "name_en": "bore", "name": "内径", "max_length": 20, "required": True},
        {"index": 2001, "name_en": "maker", "name": "生产厂家", "max_length": 100},
    ],
}


def entity_form() -> dict[str, Any]:
    """Return the JSON of an enterprise's form."""
    return deepcopy(_ENTITY)


def template_form() -> dict[str, Any]:
    """Return the JSON of a template."""
    return deepcopy(_TEMPLATE)
