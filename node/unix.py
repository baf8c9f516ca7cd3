"""Unix sockets: paths of any length for them, and who is at the other end."""

import os
import socket
import struct
from pathlib import Path

_PEER = struct.Struct("3i")  # process, user, group (struct ucred)


class ShortPath:
    """A path for a unix socket in any directory: theirs have at most 107 bytes, so it goes by a descriptor."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name

    def __enter__(self) -> str:
        self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._descriptor}/{self._name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def is_ours(peer: socket.socket) -> bool:
    """True when the other end is a process of our own account."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return bool(_PEER.unpack(credentials)[1] == os.geteuid())
