"""People of an organisation: its legal representative (法定代表人) and whom to ask (联系人).

Everything here is personal data.  表1 has the photos of the papers too, 表6 does not; a photo is the id of an uploaded
file.  Which fields may be left out follows the public form of a secondary node; 表1 and 表6 do not say.
"""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from node.model.certificate import PersonPaper, check_person_paper
from node.model.field import Checked, Field
from node.model.kind import Choice, Text
from node.model.mask import mask_email, mask_name, mask_number, mask_phone, mask_wholly

PHONE = Text(16, r"\+?[0-9][0-9 ()-]{4,14}", "13800000000 or 0536-8000000")
EMAIL = Text(128, r"[^@\s]{1,64}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", "name@example.com")
FILE = Text(64, r"[0-9A-Za-z_-]+", "the id that the upload returned")

Photo: TypeAlias = str  # the id of an uploaded file


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LegalPerson(Checked):
    """The legal representative."""

    name: Annotated[str, Field("法定代表人姓名", Text(128), mask=mask_name)]
    certificate_type: Annotated[PersonPaper, Field("法定代表人证件类型", Choice(PersonPaper))]
    certificate_number: Annotated[str, Field("法定代表人证件号码", Text(32), mask=mask_number)]
    photo_front: Annotated[Photo, Field("法定代表人证件照片（正面）", FILE, mask=mask_wholly)] = ""
    photo_back: Annotated[Photo, Field("法定代表人证件照片（背面）", FILE, mask=mask_wholly)] = ""
    email: Annotated[str, Field("法定代表人邮箱", EMAIL, mask=mask_email)] = ""
    phone: Annotated[str, Field("法定代表人手机号", PHONE, mask=mask_phone)] = ""
    fax: Annotated[str, Field("法定代表人传真", PHONE, mask=mask_phone)] = ""

    def check_together(self) -> None:
        check_person_paper(self.certificate_type, self.certificate_number, "certificate_number")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Contact(Checked):
    """Whom the node and the top-level node ask."""

    name: Annotated[str, Field("联系人姓名", Text(128), mask=mask_name)]
    phone: Annotated[str, Field("联系人手机号", PHONE, mask=mask_phone)]
    email: Annotated[str, Field("联系人邮箱", EMAIL, mask=mask_email)]
    certificate_type: Annotated[PersonPaper, Field("联系人证件类型", Choice(PersonPaper))]
    certificate_number: Annotated[str, Field("联系人证件号码", Text(32), mask=mask_number)]
    photo_front: Annotated[Photo, Field("联系人证件照片（正面）", FILE, mask=mask_wholly)] = ""
    photo_back: Annotated[Photo, Field("联系人证件照片（背面）", FILE, mask=mask_wholly)] = ""

    def check_together(self) -> None:
        check_person_paper(self.certificate_type, self.certificate_number, "certificate_number")
