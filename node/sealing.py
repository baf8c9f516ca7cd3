"""The node's sealing key: made at its first start, in the file that the settings name."""

from node.errors import Kind, RegistryError
from node.settings import Settings
from resolver.keys.seal import Seal, SealError


def load_seal(settings: Settings) -> Seal:
    """Return the seal of this node, made at first start.  Raises RegistryError."""
    path = settings.seal_path
    try:
        return Seal.load_or_make(path)
    except SealError as error:
        raise RegistryError(Kind.MISCONFIGURED, f"{error}.") from error
    except OSError as error:
        raise RegistryError(
            Kind.FORBIDDEN, f"Cannot use the sealing key {path}: {error.strerror}."
        ) from error
