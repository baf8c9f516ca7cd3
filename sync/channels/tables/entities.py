"""表1 and 表6: who runs the node, and who its enterprises are.

The codes (nature, papers, systems, licences …) are those of the public form of a secondary node (secondary-node §4.1);
annex 1 names the same things without codes.  A photo is sent as the number of a file: how the file itself travels is
not public.  表6 is "as 表1, without photos".
"""

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import (
    Address,
    Choice,
    Code,
    Day,
    Fault,
    Field,
    Flag,
    Kind,
    Many,
    Part,
    Row,
    Text,
)
from sync.channels.tables.table import Table

PREFIX = Text(64, r"[0-9]+\.[0-9]+")
REGION = Text(6, "[0-9]{6}")
PHOTO = Text(64, "[0-9A-Za-z_-]+")
PAPER = Choice((1, 2, 3))
_ENTRUSTED = 2
UNDERTAKER = Choice((1, _ENTRUSTED))

_PHOTOS = (
    Field("photo_front", "证件照片（正面）", PHOTO, required=False),
    Field("photo_back", "证件照片（背面）", PHOTO, required=False),
)
_LEGAL_PERSON = (
    Field("name", "法定代表人姓名", Text(128)),
    Field("certificate_type", "法定代表人证件类型", PAPER),
    Field("certificate_number", "法定代表人证件号码", Text(32)),
    Field("email", "法定代表人邮箱", Text(128), required=False),
    Field("phone", "法定代表人手机号", Text(16), required=False),
    Field("fax", "法定代表人传真", Text(16), required=False),
)
_CONTACT = (
    Field("name", "联系人姓名", Text(128)),
    Field("phone", "联系人手机号", Text(16)),
    Field("email", "联系人邮箱", Text(128)),
    Field("certificate_type", "联系人证件类型", PAPER),
    Field("certificate_number", "联系人证件号码", Text(32)),
)


def _has_party(row: Row, above: str) -> None:
    if row["by"] == _ENTRUSTED and "party" not in row:
        raise Fault(Code.MISSING, f"{above}party", "whoever is entrusted is named")


UNDERTAKING = Part(
    "undertaking",
    (
        Field("by", "方式：1 自行，2 委托", UNDERTAKER),
        Field("party", "受托单位", Text(255), required=False),
        Field("contract", "委托合同", PHOTO, required=False),
    ),
    _has_party,
)
INDUSTRY = Part(
    "industry",
    (
        Field("section", "行业门类", Text(1, "[A-T]")),
        Field("division", "行业大类", Text(2, "[0-9]{2}"), required=False),
        Field("group", "行业中类", Text(3, "[0-9]{3}"), required=False),
        Field("subclass", "行业小类", Text(4, "[0-9]{4}"), required=False),
    ),
)
INSTALLATION = Part(
    "installation",
    (
        Field(
            "system",
            "系统类型：1 注册系统，2 注册数据，3 注册数据备份，4 解析服务器，5 服务备份",
            Choice((1, 2, 3, 4, 5)),
        ),
        Field("deployment", "部署方式：1 本地，2 云", Choice((1, 2))),
        Field("province", "部署所在省", REGION, required=False),
        Field("city", "部署所在市", REGION, required=False),
        Field("county", "部署所在区县", REGION, required=False),
        Field("address", "部署地址", Text(255), required=False),
        Field("cloud", "云服务商", Text(255), required=False),
        Field("endpoints", "IP 与端口", Many(Text(64), 16), required=False),
    ),
)
LICENCE = Part(
    "licence",
    (
        Field(
            "type",
            "许可类型：1 根服务器运行，2 注册管理，3 注册服务，4 增值电信业务",
            Choice((1, 2, 3, 4)),
        ),
        Field("number", "许可证号", Text(64)),
    ),
)
WEBSITE = Part(
    "website",
    (
        Field("name", "网站名称", Text(255)),
        Field("domain", "网站域名", Text(255)),
        Field("addresses", "网站 IP（IPv4、IPv6）", Many(Address(), 16), required=False),
        Field("url", "网址", Text(255), required=False),
    ),
)
VERIFICATION = Part(
    "verification",
    (
        Field("passed", "核验结果", Flag()),
        Field("on", "核验日期", Day()),
        Field("method", "核验方式", Text(255)),
        Field("note", "核验说明", Text(1024), required=False),
    ),
)


def _organisation(name: str, legal_person: Kind, contact: Kind, *papers: Field) -> Part:
    return Part(
        name,
        (
            Field("name", "单位名称", Text(255)),
            Field(
                "nature",
                "单位性质：1 国有企业，2 民营企业，3 外资企业，4 事业单位，5 民办非企业单位",
                Choice((1, 2, 3, 4, 5)),
            ),
            Field("province", "所在省", REGION),
            Field("city", "所在市", REGION),
            Field("county", "所在区县", REGION, required=False),
            Field("address", "单位地址", Text(255)),
            Field("certificate_type", "单位证件类型：1 统一社会信用代码，2 其他", Choice((1, 2))),
            Field("certificate_number", "单位证件号码", Text(32)),
            *papers,
            Field("section", "行业门类", Text(1, "[A-T]")),
            Field("division", "行业大类", Text(2, "[0-9]{2}")),
            Field("introduction", "单位简介", Text(1024), required=False),
            Field("website", "单位网址", Text(255), required=False),
            Field("registration_authority", "注册机关", Text(255), required=False),
            Field("capital", "注册资本", Text(64), required=False),
            Field("founded", "成立日期", Day(), required=False),
            Field("valid_until", "有效期", Day(), required=False),
            Field("name_en", "单位英文名称", Text(255), required=False),
            Field("address_en", "单位英文地址", Text(255), required=False),
            Field("legal_person", "法定代表人", legal_person),
            Field("contact", "联系人", contact),
        ),
    )


def _entity(name: str, organisation: Part, *, is_operator: bool) -> Part:
    """The form of both tables; what only the operator of a node is asked is optional for an enterprise."""
    return Part(
        name,
        (
            Field("organisation", "单位信息", organisation),
            Field("installations", "系统部署信息", Many(INSTALLATION, 5)),
            Field("built", "系统建设方式", UNDERTAKING),
            Field("operated", "系统运营方式", UNDERTAKING),
            Field("website", "对外服务网站", WEBSITE, is_operator),
            Field("data_escrow", "数据托管方", Text(255), required=False),
            Field("service_escrow", "服务托管方", Text(255), required=False),
            Field("industries", "服务行业", Many(INDUSTRY, 97), is_operator),
            Field("licences", "持有许可", Many(LICENCE, 16), required=False),
            Field("verification", "实名核验方式", UNDERTAKING, is_operator),
            Field("naming_standard", "标识注册名称合规依据", Text(255), is_operator),
        ),
    )


OPERATOR_ORGANISATION = _organisation(
    "operator-organisation",
    Part("operator-legal-person", _LEGAL_PERSON + _PHOTOS),
    Part("operator-contact", _CONTACT + _PHOTOS),
    Field("certificate_photo", "单位证件照片", PHOTO, required=False),
)
ENTERPRISE_ORGANISATION = _organisation(
    "enterprise-organisation",
    Part("enterprise-legal-person", _LEGAL_PERSON),
    Part("enterprise-contact", _CONTACT),
)

OPERATOR = Table(
    number="1",
    name="operator",
    chinese="二级节点主体数据",
    cadence=Cadence.REAL_TIME,
    key=("prefix",),
    fields=(
        Field("prefix", "二级节点前缀", PREFIX),
        Field(
            "entity",
            "主体信息",
            _entity("operator-entity", OPERATOR_ORGANISATION, is_operator=True),
        ),
    ),
)
ENTERPRISE = Table(
    number="6",
    name="enterprise",
    chinese="企业主体数据",
    cadence=Cadence.HOURLY,
    key=("enterprise",),
    fields=(
        Field("enterprise", "企业编号（本节点）", Text(32, "[0-9A-Za-z_-]+")),
        Field("upstream_id", "企业编号（国家顶级节点，entId）", Text(64), required=False),
        Field("verification", "实名核验结果", VERIFICATION, required=False),
        Field(
            "entity",
            "主体信息",
            _entity("enterprise-entity", ENTERPRISE_ORGANISATION, is_operator=False),
        ),
    ),
)
