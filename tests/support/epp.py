"""Honest values of the registration channel: an enterprise, its people, and each command once."""

from sync.channels.epp import (
    CertificateType,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Command,
    Contact,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    LegalPerson,
    PhotoType,
    PollAcknowledge,
    PollRequest,
    ReplaceEnterprise,
)

CONTACT = Contact("李四", "li.si@example.com", "13800000000")
LEGAL_PERSON = LegalPerson("张三", 1, "370700199001010019", PhotoType.JPEG, b"\xff\xd8\xff front")
ENTERPRISE = Enterprise(
    nature=2,
    credit_code="91370700MA3C0000X1",
    certificate_photo=b"\x89PNG\r\n\x1a\n licence",
    certificate_photo_type=PhotoType.PNG,
    unit_name="潍坊某某机械有限公司",
    province="370000",
    city="370700",
    county="370705",
    address="山东省潍坊市奎文区某路 1 号",
    unit_name_en="Weifang Example Machinery Co., Ltd.",
    address_en=None,
    website="https://example.com",
    introduction="制造 <齿轮> & “轴承”",
    contact=CONTACT,
    legal_person=LEGAL_PERSON,
)
COMMANDS: tuple[Command, ...] = (
    CheckEnterprise("shr-1", CertificateType.CREDIT_CODE, "91370700MA3C0000X1"),
    CheckPrefix("88.1000", "88.1000.1"),
    CreateEnterprise("88.1000", ENTERPRISE),
    CreatePrefix("88.1000", "ENT-7", "88.1000.1"),
    ReplaceEnterprise("88.1000", "ENT-7", ENTERPRISE),
    ChangeEnterprise("shr-1", "ENT-7", EnterpriseChange(website="", contact=CONTACT)),
    PollRequest(),
    PollAcknowledge("12345"),
)
