"""Role (角色): who may take a step.  What proves a role is the business of the login, not of the model."""

from enum import StrEnum


class Role(StrEnum):
    """A caller may have several."""

    OPERATOR = "operator"  # 平台管理员: runs the node
    REVIEWER = "reviewer"  # 审核员: judges what enterprises hand in
    ENTERPRISE = "enterprise"  # 企业用户: for itself, and for what is its own
    TOP_LEVEL = "top_level"  # 国家顶级节点: its verdicts, as the registration channel brings them
    SYSTEM = "system"  # this node itself, carrying out what was decided
    AUDITOR = "auditor"  # 审计员: reads, and takes no step


APPLICANTS = frozenset({Role.ENTERPRISE, Role.OPERATOR})
REVIEWERS = frozenset({Role.REVIEWER})
OPERATORS = frozenset({Role.OPERATOR})
TOP_LEVEL = frozenset({Role.TOP_LEVEL})
SYSTEM = frozenset({Role.SYSTEM})
