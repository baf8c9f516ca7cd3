"""Application (标识应用): software that uses identifiers; 表5 of the node, 表10 of an enterprise, sent monthly.

The types are public; the life is ours.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Annotated, Final, Self

from node.model.field import Checked, Field
from node.model.kind import Choice, Number, Text
from node.model.life import Law, Life
from node.model.role import APPLICANTS, Role
from node.model.rule import ModelError, Rule

MAX_USERS = 10**12


class ApplicationType(IntEnum):
    """What sort of software it is (应用类型)."""

    APP = 1  # APP
    MINI_PROGRAM = 2  # 小程序
    WEB = 3  # 网页
    PC = 4  # PC客户端
    OTHER = 5  # 其他


class ApplicationState(StrEnum):
    """Whether an application is in use."""

    IN_USE = "in_use"
    RETIRED = "retired"


class ApplicationAction(StrEnum):
    """What can be done with an application."""

    REGISTER = "register"
    CHANGE = "change"
    RETIRE = "retire"
    RESUME = "resume"


_S, _A = ApplicationState, ApplicationAction

APPLICATION_LIFE: Final = Life(
    "application",
    ApplicationState,
    (
        Law(_A.REGISTER, "an application is registered once", {None: _S.IN_USE}, APPLICANTS),
        Law(
            _A.CHANGE, "an application is changed while in use", {_S.IN_USE: _S.IN_USE}, APPLICANTS
        ),
        Law(_A.RETIRE, "an application in use is retired", {_S.IN_USE: _S.RETIRED}, APPLICANTS),
        Law(_A.RESUME, "a retired application is resumed", {_S.RETIRED: _S.IN_USE}, APPLICANTS),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Application(Checked):
    """An application; `recursive_service` is the recursive node that it asks."""

    name: Annotated[str, Field("应用名称", Text(255))]
    type: Annotated[ApplicationType, Field("应用类型", Choice(ApplicationType))]
    introduction: Annotated[str, Field("应用简介", Text(1024))] = ""
    users: Annotated[int, Field("用户数量", Number(0, MAX_USERS))]
    recursive_service: Annotated[str, Field("使用的递归解析服务", Text(255))] = ""
    developer: Annotated[str, Field("应用开发者", Text(255))]
    state: Annotated[ApplicationState, Field("应用状态", Choice(ApplicationState))] = (
        ApplicationState.IN_USE
    )

    def take(
        self,
        action: ApplicationAction,
        *,
        roles: Collection[Role],
        text: Self | None = None,
    ) -> Self:
        """Return the application after a step; `text` is what a change hands in.  Raises ModelError."""
        state = APPLICATION_LIFE.next_state(self.state, action, roles=roles)
        if (action is _A.CHANGE) != (text is not None):
            raise ModelError("text", Rule.TOGETHER, "give a text to change it, and only then")
        return replace(text or self, state=state)
