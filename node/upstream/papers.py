"""Papers: an enterprise's form in the words of the registration channel (EPP), and what of it was told before.

The channel asks for more than 表6: photos of two papers, and a credit code of 18 characters.  What an enterprise's form
lacks is a `ModelError` that names the field, so that whoever corrects the form knows what to do.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from node.model.certificate import OrganisationPaper
from node.model.entity import Entity
from node.model.organisation import Organisation
from node.model.rule import ModelError, Rule
from node.store.files import File
from sync.channels.epp import (
    CertificateType,
    Contact,
    Enterprise,
    EnterpriseChange,
    EppError,
    LegalPerson,
    PhotoType,
)

PHOTO_TYPES = {
    "image/jpeg": PhotoType.JPEG,
    "image/png": PhotoType.PNG,
    "image/bmp": PhotoType.BMP,
}
CERTIFICATE_TYPES = {
    OrganisationPaper.CREDIT_CODE: CertificateType.CREDIT_CODE,
    OrganisationPaper.OTHER: CertificateType.OTHER,
}
_PHOTO = "organisation.certificate_photo"
_ID_PHOTO = "organisation.legal_person.photo_front"


class Fingerprint(NamedTuple):
    """Keyed digests of what is told: `papers` are reviewed anew when they change, `details` are not."""

    papers: bytes
    details: bytes


def photos_of(form: Entity) -> tuple[str, str]:
    """Return the ids of the two photos that the channel asks for; empty where the form has none."""
    organisation = form.organisation
    return organisation.certificate_photo, organisation.legal_person.photo_front


def in_words(form: Entity, files: Mapping[str, File]) -> Enterprise:
    """Return the form as the channel says it.  Raises ModelError: what is missing or cannot be said."""
    organisation = form.organisation
    if organisation.certificate_type is not OrganisationPaper.CREDIT_CODE:
        raise ModelError(
            "organisation.certificate_type",
            Rule.CHOICE,
            "the top-level node registers enterprises by their credit code; give it, with type 1",
        )
    photo = _photo(files, organisation.certificate_photo, _PHOTO)
    id_photo = _photo(files, organisation.legal_person.photo_front, _ID_PHOTO)
    try:
        return _enterprise(organisation, photo, id_photo)
    except EppError as error:
        raise ModelError("", Rule.FORM, f"the registration channel refuses: {error}") from None


def change_of(whole: Enterprise) -> EnterpriseChange:
    """Return all details of an enterprise, as a change without its papers; what it lacks is cleared."""
    return EnterpriseChange(
        province=whole.province,
        city=whole.city,
        county=whole.county,
        address=whole.address,
        unit_name_en=whole.unit_name_en or "",
        address_en=whole.address_en or "",
        website=whole.website or "",
        introduction=whole.introduction or "",
        contact=whole.contact,
    )


def fingerprint(whole: Enterprise, key: bytes) -> Fingerprint:
    """Return the digests of an enterprise under a secret key: without it names could be guessed from them."""
    legal = whole.legal_person
    papers = (
        whole.nature,
        whole.credit_code,
        whole.certificate_photo,
        whole.unit_name,
        (legal.name, legal.id_type, legal.id_number, legal.id_photo),
    )
    contact = whole.contact
    details = (
        (whole.province, whole.city, whole.county, whole.address),
        (whole.unit_name_en, whole.address_en, whole.website, whole.introduction),
        (contact.name, contact.email, contact.phone),
    )
    return Fingerprint(*(_digest(key, repr(each).encode()) for each in (papers, details)))


def _digest(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, sha256)


def _photo(files: Mapping[str, File], id_: str, field: str) -> tuple[PhotoType, bytes]:
    if not id_:
        raise ModelError(
            field, Rule.REQUIRED, "the top-level node asks for this photo; upload it to /v1/files"
        )
    if id_ not in files:
        raise ModelError(field, Rule.REQUIRED, "there is no such file; upload the photo again")
    return PHOTO_TYPES[files[id_].media_type], files[id_].content


def _enterprise(
    of: Organisation, photo: tuple[PhotoType, bytes], id_photo: tuple[PhotoType, bytes]
) -> Enterprise:
    legal, contact = of.legal_person, of.contact
    return Enterprise(
        nature=of.nature.value,
        credit_code=of.certificate_number,
        certificate_photo=photo[1],
        certificate_photo_type=photo[0],
        unit_name=of.name,
        province=of.province,
        city=of.city,
        county=of.county or None,
        address=of.address,
        unit_name_en=of.name_en or None,
        address_en=of.address_en or None,
        website=of.website or None,
        introduction=of.introduction or None,
        contact=Contact(contact.name, contact.email, contact.phone),
        legal_person=LegalPerson(
            legal.name, legal.certificate_type.value, legal.certificate_number, *id_photo
        ),
    )
