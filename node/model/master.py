"""Master record (标识主数据): what the top-level node is told about each identifier of an enterprise; 表9, daily.

It is made from a record and its template when it is sent, and is not stored.  Which fields may be left out is not
public; we ask for what every record has.  The owner of a terminal may be a person, and its serial number leads to one.
"""

from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Annotated

from node.model.field import Checked, Field
from node.model.kind import Choice, Day, Text
from node.model.mask import mask_name, mask_number
from node.model.rule import ModelError, Rule
from node.model.template import TEMPLATE_NAME, CarrierType


class Operation(IntEnum):
    """What happened to the identifier (操作类型)."""

    NEW = 1  # 新增
    DELETE = 2  # 删除
    CHANGE = 3  # 变更


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MasterRecord(Checked):
    """One row of 表9.  The last seven fields are for active carriers only (主动标识载体)."""

    identifier: Annotated[str, Field("标识", Text(255))]
    created: Annotated[date, Field("创建日期", Day())]
    template: Annotated[str, Field("元数据标识", TEMPLATE_NAME)] = ""
    operation: Annotated[Operation, Field("操作类型", Choice(Operation))]
    product_type: Annotated[str, Field("产品类型", Text(255))] = ""
    brand: Annotated[str, Field("品牌", Text(255))] = ""
    name: Annotated[str, Field("产品名称", Text(255))] = ""
    manufacturer: Annotated[str, Field("生产厂家", Text(255))] = ""
    produced: Annotated[str, Field("生产时间", Text(32))] = ""
    expires: Annotated[str, Field("失效时间", Text(32))] = ""
    terminal_type: Annotated[str, Field("终端类型", Text(255))] = ""
    owner: Annotated[str, Field("终端所有者", Text(255), mask=mask_name)] = ""
    use: Annotated[str, Field("终端用途", Text(255))] = ""
    serial_number: Annotated[str, Field("序列号或IMEI", Text(64), mask=mask_number)] = ""
    network_licence: Annotated[str, Field("进网许可证号", Text(64))] = ""
    code: Annotated[str, Field("编码", Text(255))] = ""
    sequence: Annotated[str, Field("序列", Text(255))] = ""

    def check_carrier(self, carrier: CarrierType) -> None:
        """Raise ModelError when fields of an active carrier are given for another one."""
        if carrier is CarrierType.ACTIVE:
            return
        for field in TERMINAL_FIELDS:
            if getattr(self, field):
                raise ModelError(field, Rule.TOGETHER, "only an active carrier has this")


TERMINAL_FIELDS = (
    "terminal_type",
    "owner",
    "use",
    "serial_number",
    "network_licence",
    "code",
    "sequence",
)
