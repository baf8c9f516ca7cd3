"""The account that the embedded servers run under: ours, or an unprivileged one when we are root.

Postgres refuses to run as root.  Nothing is loosened for that account: what it cannot reach is put where it can.
"""

import os
import pwd
import subprocess
from pathlib import Path
from typing import NamedTuple, TypedDict

from node.errors import Kind, RegistryError

_PROBE_SECONDS = 10


class Identity(TypedDict, total=False):
    """The arguments of Popen that make a process run under an account; none for our own."""

    user: int
    group: int
    extra_groups: list[int]


class Account(NamedTuple):
    """An account by its numbers; -1 stands for ourselves."""

    name: str
    uid: int
    gid: int

    @property
    def identity(self) -> Identity:
        """What Popen needs to run a process under this account."""
        return {} if self.uid < 0 else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can(self, test: str, path: Path) -> bool:
        """True when the account passes `test` (an option of test(1), such as -x) on the path.

        Raises RegistryError when we may not become that account.
        """
        if self.uid < 0:
            return True
        try:
            done = subprocess.run(  # noqa: S603  # a fixed command
                ["/bin/sh", "-c", 'test "$0" "$1"', test, str(path)],
                check=False,
                timeout=_PROBE_SECONDS,
                cwd="/",
                **self.identity,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise RegistryError(
                Kind.FORBIDDEN,
                f"Cannot run the embedded servers as {self.name} ({error}); start the node as an ordinary user, set "
                "IDNODE_EMBEDDED_USER, or give it servers by IDNODE_DATABASE_URL and IDNODE_REDIS_URL.",
            ) from error
        return done.returncode == 0

    def own(self, path: Path) -> None:
        """Make the account the owner of the path."""
        if self.uid >= 0:
            os.chown(path, self.uid, self.gid)


OURSELVES = Account("this account", -1, -1)


def choose_account(name: str, data: Path) -> Account:
    """Return the account for the servers whose data lies, or will lie, in `data`; `name` is the one to use as root.

    Data that is there already stays with its owner.  Raises RegistryError when that is not possible.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise RegistryError(
                Kind.FORBIDDEN,
                f"{data} belongs to another account ({_name_of(owner)}), who, or root, started the node before; let "
                "them do so again, or set IDNODE_DATA_DIR to another directory.",
            )
        return OURSELVES
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(name)
    except KeyError:
        raise RegistryError(
            Kind.MISCONFIGURED,
            f"The embedded servers do not run as root, and there is no account {owner or name}; set "
            "IDNODE_EMBEDDED_USER to an unprivileged one.",
        ) from None
    if entry.pw_uid == 0:
        raise RegistryError(
            Kind.MISCONFIGURED, "IDNODE_EMBEDDED_USER must not be root: Postgres refuses to run so."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)
