"""表4 and 表11: the templates of the node and of its enterprises.

The guide asks for the metadata identifier, the industry in four levels, the version, the type of object, and of each
attribute the two names, the type and the length.  `description`, `state`, `index`, `min_length` and `required` are the
published template form's (secondary-node §4.1), and may be left out.
"""

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import Choice, Field, Flag, Many, Number, Part, Text
from sync.channels.tables.table import Table

FULL_INDUSTRY = Part(
    "full-industry",
    (
        Field("section", "行业门类", Text(1, "[A-T]")),
        Field("division", "行业大类", Text(2, "[0-9]{2}")),
        Field("group", "行业中类", Text(3, "[0-9]{3}")),
        Field("subclass", "行业小类", Text(4, "[0-9]{4}")),
    ),
)
ATTRIBUTE = Part(
    "attribute",
    (
        Field("name_en", "属性英文名", Text(128)),
        Field("name", "属性中文名", Text(128)),
        Field("data_type", "数据类型", Choice(("string", "number", "date")), required=False),
        Field("max_length", "长度", Number(1, 4000)),
        Field("min_length", "最小长度", Number(0, 4000), required=False),
        Field("index", "属性索引", Number(2000, 2**31 - 1), required=False),
        Field("required", "是否必填", Flag(), required=False),
        Field("state", "启用状态：0 停用，1 启用", Choice((0, 1)), required=False),
    ),
)
_TEMPLATE = (
    Field("name", "元数据标识", Text(255)),
    Field("version", "元数据版本", Text(128)),
    Field("industry", "所属行业（四级）", FULL_INDUSTRY),
    Field("carrier", "对象类型：1 主动标识载体，2 其他", Choice((1, 2))),
    Field("description", "描述", Text(1024), required=False),
    Field("attributes", "属性列表", Many(ATTRIBUTE, 512)),
    Field("state", "模板状态", Choice(("published", "withdrawn")), required=False),
)

NODE_TEMPLATE = Table(
    number="4",
    name="node_template",
    chinese="二级节点元数据",
    cadence=Cadence.DAILY,
    key=("name", "version"),
    fields=_TEMPLATE,
)
ENTERPRISE_TEMPLATE = Table(
    number="11",
    name="enterprise_template",
    chinese="企业元数据",
    cadence=Cadence.REAL_TIME,
    key=("name", "version"),
    fields=_TEMPLATE,
)
