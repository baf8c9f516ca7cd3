"""Industry (行业): a place in GB/T 4754, as deep as it is known, from the section down to one of four levels."""

from dataclasses import dataclass
from typing import Annotated

from node.model.field import Checked, Field
from node.model.industries import check_below, check_division, check_section
from node.model.kind import Text
from node.model.rule import ModelError, Rule


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Industry(Checked):
    """Section, division, group and class; each after the section may be left out, from the end."""

    section: Annotated[str, Field("行业门类", Text(1))]
    division: Annotated[str, Field("行业大类", Text(2))] = ""
    group: Annotated[str, Field("行业中类", Text(3))] = ""
    subclass: Annotated[str, Field("行业小类", Text(4))] = ""

    def check_together(self) -> None:
        check_section(self.section)
        if (self.group and not self.division) or (self.subclass and not self.group):
            raise ModelError("division", Rule.REQUIRED, "give each level down to the deepest one")
        if self.division:
            check_division(self.section, self.division)
        if self.group:
            check_below(self.division, self.group, "group")
        if self.subclass:
            check_below(self.group, self.subclass, "subclass")
