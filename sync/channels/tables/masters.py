"""表9: what the top-level node is told about each identifier.

Fields and the numbers of `operation` are the guide's; that all but the identifier, the day and the operation may be
left out is ours.  A deleted identifier keeps its row, with operation 2, so that the deletion is data too.
"""

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import Choice, Day, Field, Text
from sync.channels.tables.table import Table

MASTER_RECORD = Table(
    number="9",
    name="master_record",
    chinese="企业标识主数据",
    cadence=Cadence.DAILY,
    key=("identifier",),
    fields=(
        Field("identifier", "标识", Text(255)),
        Field("created", "创建日期", Day()),
        Field("template", "元数据标识", Text(255), required=False),
        Field("operation", "操作类型：1 新增，2 删除，3 变更", Choice((1, 2, 3))),
        Field("product_type", "产品类型", Text(255), required=False),
        Field("brand", "品牌", Text(255), required=False),
        Field("name", "产品名称", Text(255), required=False),
        Field("manufacturer", "生产厂家", Text(255), required=False),
        Field("produced", "生产时间", Text(32), required=False),
        Field("expires", "失效时间", Text(32), required=False),
        Field("terminal_type", "终端类型（主动标识载体）", Text(255), required=False),
        Field("owner", "终端所有者（主动标识载体）", Text(255), required=False),
        Field("use", "终端用途（主动标识载体）", Text(255), required=False),
        Field("serial_number", "序列号或 IMEI（主动标识载体）", Text(64), required=False),
        Field("network_licence", "进网许可证号（主动标识载体）", Text(64), required=False),
        Field("code", "编码（主动标识载体）", Text(255), required=False),
        Field("sequence", "序列（主动标识载体）", Text(255), required=False),
    ),
)
