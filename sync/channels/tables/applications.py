"""表5 and 表10: the applications of the node and of its enterprises.  The types are the guide's; `state` is ours."""

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import Choice, Field, Number, Text
from sync.channels.tables.table import Table

_APPLICATION = (
    Field("name", "应用名称", Text(255)),
    Field(
        "type",
        "应用类型：1 APP，2 小程序，3 网页，4 PC 客户端，5 其他",
        Choice((1, 2, 3, 4, 5)),
    ),
    Field("introduction", "应用简介", Text(1024), required=False),
    Field("users", "用户数量", Number(0, 10**12)),
    Field("recursive_service", "使用的递归解析服务", Text(255), required=False),
    Field("developer", "应用开发者", Text(255)),
    Field("state", "应用状态", Choice(("in_use", "retired")), required=False),
)

NODE_APPLICATION = Table(
    number="5",
    name="node_application",
    chinese="二级节点应用数据",
    cadence=Cadence.MONTHLY,
    key=("name",),
    fields=_APPLICATION,
)
ENTERPRISE_APPLICATION = Table(
    number="10",
    name="enterprise_application",
    chinese="企业应用数据",
    cadence=Cadence.MONTHLY,
    key=("enterprise", "name"),
    fields=(
        Field("enterprise", "企业编号（本节点）", Text(32, "[0-9A-Za-z_-]+")),
        *_APPLICATION,
    ),
)
