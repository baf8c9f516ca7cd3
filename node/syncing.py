"""Syncing: what the keeper has for the national top-level node, put together once."""

from node.config import Settings
from node.metrics import SyncLevels
from node.serving import Spawn
from node.store.database import Database
from node.upstream.levels import LevelsReader
from node.upstream.role import SyncRole
from node.web.health import Check
from node.web.operators import OperatorDesk
from node.web.row import Section
from node.web.sync import OFF, SyncApi
from node.web.sync_rows import sync_section
from resolver.keys.seal import Seal


class Syncing:
    """The role, its levels, and the interface for operators, which is there without a top-level node too."""

    def __init__(
        self, settings: Settings, database: Database, seal: Seal, desk: OperatorDesk, spawn: Spawn
    ) -> None:
        self.role: SyncRole | None = None
        self._levels: LevelsReader | None = None
        if settings.sync_url:
            self.role = SyncRole(settings, seal)
            self._levels = LevelsReader(database, self.role)
            spawn(self.role.run())
            spawn(self._levels.run())
        self.section: Section = sync_section(SyncApi(database, seal, self.role, desk))

    def levels(self) -> SyncLevels:
        """What the metrics show."""
        return self._levels.levels() if self._levels else SyncLevels()

    def checks(self) -> list[Check]:
        """How it stands, in words: whatever it is, the node can be sent work."""
        if self.role is None:
            return []
        standing = self.role.standing()
        return [Check("sync", True, f"{standing.state}: {standing.reason or OFF}")]

    async def end(self) -> None:
        """Stop; what waits is sent after the next start."""
        if self.role is not None:
            await self.role.end()
