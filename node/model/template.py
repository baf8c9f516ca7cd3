"""Template (元数据模板): the typed attributes of a kind of product; 表4 of the node, 表11 of an enterprise.

Published, a template is what registered identifiers rely on: what it says may be added to and disabled, but not taken
away or made narrower (`check_revision`).  That attributes are disabled and not removed, the numbering from 2000 and
the limits are public; the states, and that lengths do not shrink, are ours.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Annotated, Final, Self

from node.model.field import Checked, Field
from node.model.form import Part
from node.model.industry import Industry
from node.model.kind import Choice, Flag, Many, Number, Text
from node.model.life import Law, Life, Need
from node.model.role import APPLICANTS, Role
from node.model.rule import ModelError, Rule

FIRST_INDEX = (
    2000  # of an attribute; 1001 says which template a record has, the rest is the protocol's
)
MAX_ATTRIBUTES = 512
MAX_LENGTHS = {"string": 4000, "number": 38, "date": 32}  # characters or digits, by data type

VERSION = Text(128)
TEMPLATE_NAME = Text(255, r"[^/\s]+/\S+", "88.118.8/META_BEARING")


class CarrierType(IntEnum):
    """What bears the identifiers of a template (对象类型)."""

    ACTIVE = 1  # 主动标识载体: it reports by itself, with a SIM or a chip
    OTHER = 2  # 非主动标识载体


class DataType(StrEnum):
    """The type of an attribute's value (数据类型)."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"


class AttributeState(IntEnum):
    """Whether new records may have an attribute."""

    DISABLED = 0
    ENABLED = 1


class TemplateState(StrEnum):
    """Where a template stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    DELETED = "deleted"  # for ever; its name and version are not given again


class TemplateAction(StrEnum):
    """What can be done with a template."""

    CREATE = "create"
    CHANGE = "change"
    PUBLISH = "publish"
    REVISE = "revise"
    WITHDRAW = "withdraw"
    DELETE = "delete"


_S, _A = TemplateState, TemplateAction


TEMPLATE_LIFE: Final = Life(
    "template",
    TemplateState,
    (
        Law(_A.CREATE, "a version of a template is created once", {None: _S.DRAFT}, APPLICANTS),
        Law(_A.CHANGE, "only a draft is changed at will", {_S.DRAFT: _S.DRAFT}, APPLICANTS),
        Law(
            _A.PUBLISH,
            "a draft or a withdrawn template is published",
            {_S.DRAFT: _S.PUBLISHED, _S.WITHDRAWN: _S.PUBLISHED},
            APPLICANTS,
        ),
        Law(
            _A.REVISE,
            "what has been published is only added to",
            {_S.PUBLISHED: _S.PUBLISHED, _S.WITHDRAWN: _S.WITHDRAWN},
            APPLICANTS,
        ),
        Law(
            _A.WITHDRAW,
            "a published template is withdrawn",
            {_S.PUBLISHED: _S.WITHDRAWN},
            APPLICANTS,
        ),
        Law(
            _A.DELETE,
            "a draft or a withdrawn template is deleted, if nothing was registered with it",
            {_S.DRAFT: _S.DELETED, _S.WITHDRAWN: _S.DELETED},
            APPLICANTS,
            frozenset({Need.UNUSED}),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attribute(Checked):
    """One attribute; its English name is the type of the handle value, its index that of the value."""

    index: Annotated[int, Field("属性索引", Number(FIRST_INDEX, 2**31 - 1))]
    name_en: Annotated[str, Field("属性英文名", Text(128, r"[A-Za-z][0-9A-Za-z_.-]*", "weight"))]
    name: Annotated[str, Field("属性中文名", Text(128))]
    data_type: Annotated[DataType, Field("数据类型", Choice(DataType))] = DataType.STRING
    min_length: Annotated[int, Field("最小长度", Number(0, 4000))] = 0
    max_length: Annotated[int, Field("最大长度", Number(1, 4000))]
    required: Annotated[bool, Field("是否必填", Flag())] = False
    state: Annotated[AttributeState, Field("启用状态", Choice(AttributeState))] = (
        AttributeState.ENABLED
    )

    def check_together(self) -> None:
        longest = MAX_LENGTHS[self.data_type]
        if self.max_length > longest:
            raise ModelError(
                "max_length", Rule.RANGE, f"a {self.data_type.value} has at most {longest}"
            )
        if self.min_length > self.max_length:
            raise ModelError("min_length", Rule.TOGETHER, "this is more than max_length")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Template(Checked):
    """One version of a template.  `name` is its own identifier (元数据标识)."""

    name: Annotated[str, Field("元数据标识", TEMPLATE_NAME)]
    version: Annotated[str, Field("元数据版本", VERSION)]
    industry: Annotated[Industry, Field("所属行业", Part(Industry))]
    carrier: Annotated[CarrierType, Field("对象类型", Choice(CarrierType))]
    description: Annotated[str, Field("描述", Text(1024))] = ""
    attributes: Annotated[
        tuple[Attribute, ...], Field("属性列表", Many(Part(Attribute), MAX_ATTRIBUTES))
    ]
    state: Annotated[TemplateState, Field("模板状态", Choice(TemplateState))] = TemplateState.DRAFT

    def check_together(self) -> None:
        if not self.industry.subclass:
            raise ModelError("industry.subclass", Rule.REQUIRED, "a template names all four levels")
        for field in ("index", "name_en", "name"):
            given = [getattr(each, field) for each in self.attributes]
            if len(set(given)) < len(given):
                raise ModelError("attributes", Rule.UNIQUE, f"each {field} occurs once")

    def take(
        self,
        action: TemplateAction,
        *,
        roles: Collection[Role],
        text: Self | None = None,
        is_unused: bool = False,
    ) -> Self:
        """Return the template after a step; `text` is what a change or a revision hands in.  Raises ModelError."""
        met = {Need.UNUSED} if is_unused else set()
        state = TEMPLATE_LIFE.next_state(self.state, action, roles=roles, met=met)
        if (action in (_A.CHANGE, _A.REVISE)) != (text is not None):
            raise ModelError("text", Rule.TOGETHER, "give a text to change or revise it, only then")
        if text is not None and (text.name, text.version) != (self.name, self.version):
            raise ModelError("version", Rule.KEPT, "this names another template; create that one")
        if text is not None and action is _A.REVISE:
            check_revision(self, text)
        return replace(text or self, state=state)


def check_revision(old: Template, new: Template) -> None:
    """Raise ModelError unless the new text of a published version keeps what the old one promised."""
    for field in ("name", "version", "industry", "carrier"):
        if getattr(old, field) != getattr(new, field):
            raise ModelError(field, Rule.KEPT, "this is fixed; publish another version")
    kept = {each.index: each for each in new.attributes}
    for attribute in old.attributes:
        _check_kept(attribute, kept.pop(attribute.index, None))
    for added in kept.values():
        if added.required:
            raise ModelError(
                _path(added), Rule.KEPT, "older records lack it; add it as not required"
            )


def _check_kept(old: Attribute, new: Attribute | None) -> None:
    if new is None or (new.name_en, new.data_type) != (old.name_en, old.data_type):
        raise ModelError(_path(old), Rule.KEPT, "keep its index, name and type; disable it instead")
    is_wider = new.min_length <= old.min_length and new.max_length >= old.max_length
    if not is_wider or (new.required and not old.required):
        raise ModelError(_path(old), Rule.KEPT, "older records may break this; only widen it")


def _path(attribute: Attribute) -> str:
    return f"attributes.{attribute.index}"
