"""ModelError, and the names of the rules of fields.

The rules of lives are named `life.action`, such as `prefix.activate`.

The names are part of the API: they stand in problem documents, in answers of the top-level node's simulator and in the
documentation, and do not change.
"""

from enum import StrEnum
from typing import Self


class Rule(StrEnum):
    """A rule that a field, or several together, must keep."""

    REQUIRED = "required"  # it must be given
    UNKNOWN = "unknown"  # there is no such field
    KIND = "kind"  # another JSON type is needed
    LENGTH = "length"  # too long, too short, too many
    RANGE = "range"  # a number outside its limits
    FORM = "form"  # the text does not have the form that is needed
    CHOICE = "choice"  # none of the listed values
    CHECK_DIGIT = "check_digit"  # a mistyped number
    REGION = "region"  # not a region, or not within the other one
    INDUSTRY = "industry"  # not an industry, or not within the other one
    ADDRESS = "address"  # not an IP address that can be asked
    PORTS = "ports"  # TCP, UDP and HTTP are all missing
    UNIQUE = "unique"  # given twice
    TOGETHER = "together"  # two fields contradict each other
    KEPT = "kept"  # what has been published may not be taken away
    ROLE = "role"  # somebody else may do this
    # What a step of a life needs; see `life.Need`.
    NEEDS_REASON = "needs_reason"
    NEEDS_VERIFICATION = "needs_verification"
    NEEDS_APPROVED_FORM = "needs_approved_form"
    NEEDS_ADMITTED_ENTERPRISE = "needs_admitted_enterprise"
    NEEDS_SERVICE = "needs_service"
    NEEDS_SERVER = "needs_server"
    NEEDS_UNUSED = "needs_unused"


class ModelError(ValueError):
    """A value breaks a rule.

    `field` is the path of the field (`form.contact.email`, `sites.0.ip`), empty for a whole value; `rule` is stable;
    `message` says what is wrong and what to do, and repeats nothing that may be personal.  `others` are the further
    faults of the same value, so that a form is corrected in one go.
    """

    def __init__(self, field: str, rule: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.rule = str(rule)
        self.message = message
        self.others: tuple[Self, ...] = ()

    def below(self, field: str) -> Self:
        """Return the same fault, seen from the value that holds the field."""
        path = f"{field}.{self.field}" if self.field else field
        moved = type(self)(path, self.rule, self.message)
        moved.others = tuple(other.below(field) for other in self.others)
        return moved

    def list_all(self) -> tuple[Self, ...]:
        """Return this fault and the others, in the order of the fields."""
        return (self, *self.others)


def gather(faults: list[ModelError]) -> ModelError:
    """Return the first of some faults, carrying the others."""
    every = [each for fault in faults for each in fault.list_all()]
    first = ModelError(every[0].field, every[0].rule, every[0].message)
    first.others = tuple(every[1:])
    return first
