"""Syncing: what the keeper has for the national top-level node, put together once."""

import asyncio
from contextlib import suppress
from pathlib import Path
from secrets import token_hex, token_urlsafe

from node.config import Settings
from node.metrics import SyncLevels
from node.registry.objects import Objects
from node.serving import Spawn
from node.signs import Signs
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.files import Files
from node.store.registration import Registrations
from node.store.synced import SyncedRows
from node.upstream.counting import DayCounts
from node.upstream.dayclaims import DayClaims
from node.upstream.levels import LevelsReader
from node.upstream.monitoring import Monitor
from node.upstream.notebook import NOTEBOOK_FILE, Notebook
from node.upstream.registration import Registration
from node.upstream.role import SyncRole
from node.upstream.sampling import Sampler
from node.web.files import FilesApi
from node.web.health import Check
from node.web.monthly import ReportsApi, reports_section
from node.web.operators import OperatorDesk
from node.web.registration import RegistrationApi
from node.web.registration_rows import registration_section
from node.web.row import Section
from node.web.sync import OFF, SyncApi
from node.web.sync_rows import sync_section
from resolver.keys.seal import Seal

REGISTRATION_LABEL = b"registration"
ID_BYTES = 16
FORGET_SECONDS = 3_600.0  # between two looks for photos that no form names


class Syncing:
    """The role, its levels, and the interface for operators, which is there without a top-level node too."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        objects: Objects,
        seal: Seal,
        desk: OperatorDesk,
        spawn: Spawn,
        ledger: Path | None,
        signs: Signs,
    ) -> None:
        """`ledger` is the directory of the ledger, if there is one."""
        self.role: SyncRole | None = None
        self._levels: LevelsReader | None = None
        self._monitor: Monitor | None = None
        self._signs = signs
        files, store = Files(database, seal), Registrations(database, seal)
        spawn(_forget_for_ever(files))
        registration = Registration(
            settings.node_prefix,
            objects,
            files,
            store,
            key=seal.derive(REGISTRATION_LABEL),
            unique=lambda: token_hex(ID_BYTES),
        )
        if settings.sync_url:
            self.role = SyncRole(settings, seal, besides=[registration.keep])
            self._levels = LevelsReader(database, self.role)
            spawn(self.role.run())
            spawn(self._levels.run())
            self._monitor = monitor_of(settings, database, seal, signs)
            spawn(self._monitor.run())
            if ledger is not None:
                counts = DayCounts(database, SyncedRows(seal), ledger, settings.node_prefix)
                spawn(counts.run())
            if ledger is not None and settings.ledger_witnesses is not None:
                spawn(DayClaims(ledger, settings.ledger_witnesses).run())
        self.sections: tuple[Section, ...] = (
            sync_section(SyncApi(database, seal, self.role, desk)),
            reports_section(ReportsApi(database, settings.node_prefix, desk)),
            registration_section(
                RegistrationApi(store, desk, lambda: registration.standing().trouble),
                FilesApi(files, desk, lambda: token_urlsafe(ID_BYTES)),
            ),
        )

    def levels(self) -> SyncLevels:
        """What the metrics show."""
        return self._levels.levels() if self._levels else SyncLevels()

    def checks(self) -> list[Check]:
        """How it stands, in words: whatever it is, the node can be sent work."""
        if self.role is None:
            return []
        standing = self.role.standing()
        return [Check("sync", True, f"{standing.state}: {standing.reason or OFF}")]

    async def end(self, *, in_order: bool) -> None:
        """Stop, as the operator wants it or not; what waits is sent after the next start."""
        if self.role is not None:
            await self.role.end()
        if self._monitor is not None:
            await self._monitor.end(in_order=in_order)
        await self._signs.close()


async def _forget_for_ever(files: Files) -> None:
    """Delete photos that no form ever named."""
    while True:
        with suppress(StoreError, StoreUnavailable):  # the next round does it
            await files.forget_unnamed()
        await asyncio.sleep(FORGET_SECONDS)


def monitor_of(settings: Settings, database: Database, seal: Seal, signs: Signs) -> Monitor:
    """Return what measures this node for the top-level node."""
    return Monitor(
        database,
        SyncedRows(seal),
        settings.node_prefix,
        Sampler(signs.slots),
        signs.read,
        Notebook(settings.data_dir / NOTEBOOK_FILE),
        running_since=signs.running_since,
    )
