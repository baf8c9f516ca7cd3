"""Names of prefixes: `88.118` of a secondary node, `88.118.8` of an enterprise.

Grammar of secondary-node §3.1, which is a proposal consistent with every public example; 64 characters is the limit
of the public interface of a secondary node.  Names compare without regard to ASCII case.  What an enterprise derives
below its own prefix is its own affair, so that an enterprise prefix has exactly one label below the node's.
"""

from node.model.kind import Text
from node.model.rule import ModelError, Rule

MAX_CHARACTERS = 64

SECONDARY = Text(MAX_CHARACTERS, r"[0-9]+\.[0-9]+", "88.118")
ENTERPRISE = Text(MAX_CHARACTERS, r"[0-9]+\.[0-9]+\.[0-9A-Za-z_-]+", "88.118.8")


def canonical(prefix: str) -> str:
    """Return the form in which two spellings of one prefix are equal."""
    return prefix.upper()


def secondary_of(prefix: str) -> str:
    """Return the secondary prefix above an enterprise's."""
    return prefix.rpartition(".")[0]


def check_under(prefix: str, secondary: str, field: str = "prefix") -> None:
    """Raise ModelError unless the enterprise prefix lies right below this node's."""
    if secondary_of(prefix) != secondary:
        raise ModelError(
            field,
            Rule.TOGETHER,
            f"this node gives out prefixes below {secondary}, such as {secondary}.8",
        )
