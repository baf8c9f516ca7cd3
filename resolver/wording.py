"""Wording: what the pages say, in English and Chinese; the terms are those of the glossary."""

from dataclasses import dataclass

from resolver.answer import Status


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of the pages in one language."""

    language: str
    title: str
    lead: str
    identifier: str
    scheme: str
    any_scheme: str
    resolve: str
    show_record: str
    record: str
    index: str
    type: str
    data: str
    ttl: str
    timestamp: str
    seconds: str
    no_values: str
    as_json: str
    server: str
    go: str
    deleted_at: str
    reason: str
    gone: tuple[str, str]
    outcomes: dict[Status, tuple[str, str]]


ENGLISH = Wording(
    language="en",
    title="Identifier resolution",
    lead="Enter an identifier: Handle / VAA, DOI, Ecode, OID, GS1 or DID.",
    identifier="Identifier",
    scheme="Scheme",
    any_scheme="Detect",
    resolve="Resolve",
    show_record="Show the record, do not follow its URL",
    record="Record",
    index="Index",
    type="Type",
    data="Data",
    ttl="TTL",
    timestamp="Last changed (UTC)",
    seconds="s",
    no_values="This record has no public values.",
    as_json="Record as JSON",
    server="Server",
    go="Open there",
    deleted_at="Deleted (UTC)",
    reason="Reason",
    gone=("Identifier deleted", "There was a record of this identifier, and it was deleted."),
    outcomes={
        Status.NO_SUCH_HANDLE: (
            "Identifier not found",
            "Its prefix is served here, but no such identifier is registered.",
        ),
        Status.INVALID_HANDLE: ("Not an identifier", "The text cannot be read as an identifier."),
        Status.NO_SUCH_VALUE: (
            "No such values",
            "The record exists, but has none of the values that were asked for.",
        ),
        Status.NOT_RESPONSIBLE: (
            "Not served here",
            "The prefix of this identifier is not served here.",
        ),
        Status.SERVICE_REFERRAL: ("Served elsewhere", "An enterprise node serves this prefix."),
        Status.PREFIX_REFERRAL: ("Served elsewhere", "Derived prefixes are served by other nodes."),
        Status.NOT_PERMITTED: ("Not permitted", "These values are not public."),
        Status.AUTHENTICATION_NEEDED: ("Login needed", "These values are not public."),
        Status.UNAVAILABLE: ("Busy", "The record cannot be read at the moment. Try again shortly."),
    },
)

CHINESE = Wording(
    language="zh-CN",
    title="标识解析",
    lead="请输入标识：Handle / VAA、DOI、Ecode、OID、GS1 或 DID。",
    identifier="标识",
    scheme="标识体系",
    any_scheme="自动识别",
    resolve="解析",
    show_record="显示标识记录，不跳转",
    record="标识记录",
    index="索引",
    type="类型",
    data="数据",
    ttl="有效期",
    timestamp="最后修改（UTC）",
    seconds="秒",
    no_values="该标识没有公开的标识值。",
    as_json="JSON 格式的记录",
    server="服务器",
    go="前往查看",
    deleted_at="删除时间（UTC）",
    reason="原因",
    gone=("标识已删除", "该标识曾经注册，其记录已被删除。"),
    outcomes={
        Status.NO_SUCH_HANDLE: ("标识不存在", "该前缀由本节点服务，但此标识未注册。"),
        Status.INVALID_HANDLE: ("不是有效的标识", "无法将该文本识别为标识。"),
        Status.NO_SUCH_VALUE: ("没有所请求的标识值", "该标识存在，但没有所请求的类型或索引。"),
        Status.NOT_RESPONSIBLE: ("不由本节点服务", "该标识的前缀不由本节点服务。"),
        Status.SERVICE_REFERRAL: ("由其他节点服务", "该前缀由企业节点服务。"),
        Status.PREFIX_REFERRAL: ("由其他节点服务", "下级前缀由其他节点服务。"),
        Status.NOT_PERMITTED: ("没有权限", "所请求的标识值不公开。"),
        Status.AUTHENTICATION_NEEDED: ("需要登录", "所请求的标识值不公开。"),
        Status.UNAVAILABLE: ("系统繁忙", "暂时无法读取该记录，请稍后重试。"),
    },
)
