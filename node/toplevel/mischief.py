"""Mischief: the faults of the moment, and what has to be done at once when one is switched on or off."""

import ssl
from collections.abc import Mapping

from node.toplevel.copies import Copies
from node.toplevel.database import Database
from node.toplevel.faults import Clock, FaultError, Faults
from node.toplevel.journal import Journal
from node.toplevel.papers import Papers
from resolver.guard import Guard

FORGETFUL = "forgetful"  # no state, but a deed: the tables go back to a copy


class Door(Guard):
    """Lets connections in, unless nobody is to answer."""

    is_shut = False

    def admit(self, connection: object, address: str) -> bool:
        """See `Guard`."""
        return not self.is_shut and super().admit(connection, address)  # type: ignore[arg-type]  # Guard's own protocol


class Mischief:
    """Switches faults; `doors` are those of the channel, `tls` what it speaks TLS with."""

    def __init__(
        self,
        database: Database,
        copies: Copies,
        papers: Papers,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._database = database
        self._copies = copies
        self._papers = papers
        self._journal = journal
        self._clock = clock
        self._door: Door | None = None
        self._tls: ssl.SSLContext | None = None
        self.faults = Faults()

    def guards(self, door: Door, tls: ssl.SSLContext) -> None:
        """Say which door is shut, and where an expired certificate is shown."""
        self._door, self._tls = door, tls

    async def switch(self, given: Mapping[str, object]) -> Faults:
        """Set some faults.  Raises FaultError, CopyError, DatabaseFailed."""
        rest = {name: value for name, value in given.items() if name != FORGETFUL}
        faults, before = self.faults.with_given(rest), self.faults
        if given.get(FORGETFUL):
            await self.forget(given[FORGETFUL])
        if faults.disk_full != before.disk_full:
            await self._database.fill(is_full=faults.disk_full)
        self.faults = faults
        self._clock.heed(faults)
        if self._tls is not None and faults.expired != before.expired:
            self._papers.show_certificate(self._tls, is_expired=faults.expired)
        self._shut(faults)
        if faults != before:
            self._journal.note("faults", ", ".join(faults.names), is_fault=bool(faults.names))
        return faults

    async def forget(self, which: object) -> str:
        """Go back to a copy: the newest (true), or one by its name.  Raises FaultError, CopyError, DatabaseFailed."""
        if which is not True and not isinstance(which, str):
            raise FaultError("forgetful is true, or the name of a copy")
        name = self._copies.newest() if which is True else which
        await self._copies.restore(name)
        if self.faults.disk_full:
            await self._database.fill(is_full=True)
        self._journal.note("forgot", name, is_fault=True)
        return name

    def _shut(self, faults: Faults) -> None:
        """Connections that are open are closed when nobody is to answer, or another certificate is to be seen."""
        if self._door is None:
            return
        self._door.is_shut = faults.down
        if faults.down or faults.expired:
            self._door.end()
