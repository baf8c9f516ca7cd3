"""Operator (二级节点运营单位): who runs this node; 表1, sent in real time.

The whole of the entity form with its photos, and what only a secondary node is asked: how enterprises are verified by
their real names (实名核验), by which standard names are checked, where the public website is.
"""

from dataclasses import dataclass
from typing import Annotated

from node.model.entity import Entity
from node.model.field import Checked, Field
from node.model.form import Part
from node.model.prefixname import SECONDARY
from node.model.rule import ModelError, Rule


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Operator(Checked):
    """The operator of a secondary prefix."""

    prefix: Annotated[str, Field("二级节点前缀", SECONDARY)]
    entity: Annotated[Entity, Field("主体信息", Part(Entity))]

    def check_together(self) -> None:
        for field in ("website", "verification", "naming_standard", "industries"):
            if not getattr(self.entity, field):
                raise ModelError(f"entity.{field}", Rule.REQUIRED, "an operator must give this")
