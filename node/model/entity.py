"""Entity (主体信息): the form that the operator of the node (表1) and each enterprise (表6) fill in.

The contract template says of 表6 "as 表1, without photos"; the required fields are those of the public form of a
secondary node (企业注册).  What 表1 asks of an operator alone is optional here, and required in `operator`.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from node.model.field import Checked, Field
from node.model.form import Part
from node.model.industry import Industry
from node.model.installation import (
    REQUIRED_SYSTEMS,
    Installation,
    Licence,
    Undertaking,
    Website,
)
from node.model.kind import Many, Text
from node.model.organisation import Organisation
from node.model.rule import ModelError, Rule

MAX_INDUSTRIES = 97  # that a node serves: as many as there are divisions
MAX_LICENCES = 16


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Entity(Checked):
    """Who somebody is, where their systems stand, and who keeps their data."""

    organisation: Annotated[Organisation, Field("单位信息", Part(Organisation))]
    installations: Annotated[
        tuple[Installation, ...], Field("系统部署信息", Many(Part(Installation), 5))
    ]
    built: Annotated[Undertaking, Field("系统建设方式", Part(Undertaking))]
    operated: Annotated[Undertaking, Field("系统运营方式", Part(Undertaking))]
    website: Annotated[Website | None, Field("对外服务网站", Part(Website))] = None
    data_escrow: Annotated[str, Field("数据托管方", Text(255))] = ""
    service_escrow: Annotated[str, Field("服务托管方", Text(255))] = ""
    industries: Annotated[
        tuple[Industry, ...], Field("服务行业", Many(Part(Industry), MAX_INDUSTRIES))
    ] = ()
    licences: Annotated[
        tuple[Licence, ...], Field("持有许可", Many(Part(Licence), MAX_LICENCES))
    ] = ()
    verification: Annotated[Undertaking | None, Field("实名核验方式", Part(Undertaking))] = None
    naming_standard: Annotated[str, Field("标识注册名称合规依据", Text(255))] = ""

    def check_together(self) -> None:
        count = Counter(each.system for each in self.installations)
        for system in REQUIRED_SYSTEMS:
            if not count[system]:
                raise ModelError(
                    "installations", Rule.REQUIRED, f"system {system.value} is missing"
                )
        if max(count.values()) > 1:
            raise ModelError("installations", Rule.UNIQUE, "give each system once")
