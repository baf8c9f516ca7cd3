"""Organisation (单位): who somebody is, where, and in what industry; the first half of 表1 and 表6."""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Annotated

from node.model.certificate import OrganisationPaper, check_organisation_paper
from node.model.field import Checked, Field
from node.model.form import Part
from node.model.industries import check_division, check_section
from node.model.kind import Choice, Day, Text
from node.model.person import FILE, Contact, LegalPerson, Photo
from node.model.regions import check_region, check_within
from node.model.rule import ModelError, Rule

REGION = Text(6, r"[0-9]{6}", "370700")
WEBSITE = Text(255, r"https?://\S+", "https://www.example.com")


class Nature(IntEnum):
    """The nature of an organisation (单位性质)."""

    STATE = 1  # 国有企业
    PRIVATE = 2  # 民营企业
    FOREIGN = 3  # 外资企业
    PUBLIC_INSTITUTION = 4  # 事业单位
    PRIVATE_NON_PROFIT = 5  # 民办非企业单位


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Organisation(Checked):
    """An organisation.  The English name and address are for the registration channel (EPP) alone."""

    name: Annotated[str, Field("单位名称", Text(255))]
    nature: Annotated[Nature, Field("单位性质", Choice(Nature))]
    province: Annotated[str, Field("所在省", REGION)]
    city: Annotated[str, Field("所在市", REGION)]
    county: Annotated[str, Field("所在区县", REGION)] = ""
    address: Annotated[str, Field("单位地址", Text(255))]
    certificate_type: Annotated[OrganisationPaper, Field("单位证件类型", Choice(OrganisationPaper))]
    certificate_number: Annotated[str, Field("单位证件号码", Text(32))]
    certificate_photo: Annotated[Photo, Field("单位证件照片", FILE)] = ""
    section: Annotated[str, Field("行业门类", Text(1))]
    division: Annotated[str, Field("行业大类", Text(2))]
    introduction: Annotated[str, Field("单位简介", Text(1024))] = ""
    website: Annotated[str, Field("单位网址", WEBSITE)] = ""
    registration_authority: Annotated[str, Field("注册机关", Text(255))] = ""
    capital: Annotated[str, Field("注册资本", Text(64))] = ""
    founded: Annotated[date | None, Field("成立日期", Day())] = None
    valid_until: Annotated[date | None, Field("有效期", Day())] = None
    name_en: Annotated[str, Field("单位英文名称", Text(255))] = ""
    address_en: Annotated[str, Field("单位英文地址", Text(255))] = ""
    legal_person: Annotated[LegalPerson, Field("法定代表人", Part(LegalPerson))]
    contact: Annotated[Contact, Field("联系人", Part(Contact))]

    def check_together(self) -> None:
        check_organisation_paper(
            self.certificate_type, self.certificate_number, "certificate_number"
        )
        for field in ("province", "city", "county"):
            if code := getattr(self, field):
                check_region(code, field)
        check_within(self.province, self.city, self.county)
        check_section(self.section)
        check_division(self.section, self.division)
        if self.founded and self.valid_until and self.valid_until < self.founded:
            raise ModelError(
                "valid_until", Rule.TOGETHER, "this lies before `founded`; correct one of them"
            )

    @property
    def certificate(self) -> tuple[int, str]:
        """What is unique among enterprises: the kind and number of the certificate."""
        return self.certificate_type.value, self.certificate_number
