"""Masking: rows as the page shows them, without what would tell a person.

People (`legal_person`, `contact`), owners and serial numbers of devices, and the last part of callers' addresses are
masked; long lists are cut.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from node.model.mask import Mask, mask_email, mask_name, mask_number, mask_phone, mask_wholly

MAX_ITEMS = 5  # of a list that are shown
_IPV4_BITS, _IPV6_BITS = 24, 48

_OF_PEOPLE: Mapping[str, Mask] = {
    "name": mask_name,
    "phone": mask_phone,
    "fax": mask_phone,
    "email": mask_email,
    "certificate_number": mask_number,
    "photo_front": mask_wholly,
    "photo_back": mask_wholly,
}

_PEOPLE = frozenset({"legal_person", "contact"})
_ANYWHERE: Mapping[str, Mask] = {
    "owner": mask_name,
    "serial_number": mask_number,
    "certificate_photo": mask_wholly,
}


def mask_address(text: str) -> str:
    """Return the network of an address: `192.0.2.0/24`."""
    try:
        address = ip_address(text)
    except ValueError:
        return "***"
    bits = _IPV4_BITS if address.version == 4 else _IPV6_BITS
    return str(ip_network(f"{address}/{bits}", strict=False))


def masked(row: object) -> object:
    """Return a parsed row without personal data."""
    return _masked(row, _ANYWHERE)


def _masked(value: object, masks: Mapping[str, Mask]) -> object:
    if isinstance(value, dict):
        return {name: _member(name, member, masks) for name, member in value.items()}
    if isinstance(value, list):
        shown = [_masked(each, masks) for each in value[:MAX_ITEMS]]
        more = len(value) - len(shown)
        return [*shown, f"… +{more}"] if more else shown
    return value


def _member(name: str, value: object, masks: Mapping[str, Mask]) -> object:
    if name == "sources":
        return _masked(value, {**masks, "ip": mask_address})
    if name in _PEOPLE:
        return _masked(value, _OF_PEOPLE)
    mask = masks.get(name)
    return mask(str(value)) if mask is not None else _masked(value, masks)
