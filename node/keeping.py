"""Keeping: what one process does for all: the admin listener, and the roles that only one may have."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from socket import gethostname

from node.bulk import Bulk
from node.config import Settings
from node.counters import Counters
from node.daily import Daily
from node.ledger.logfiles import LogFiles
from node.ledger.role import LedgerRole, State
from node.metrics import LogLevels, WitnessLevels, exposition
from node.model.rule import ModelError
from node.readpath import ReadPath
from node.recording import conduct_of, origin_of
from node.registry.jobrunner import JobRunner
from node.registry.objects import Objects
from node.registry.operators import Operators
from node.registry.patterns import SearchedTypes
from node.registry.reverse import ReverseIndex
from node.registry.tokens import OPERATOR_TOKEN_FILE, Tokens, ensure_operator_token
from node.serving import Spawn, checks_of, serving_http, task_group
from node.siblings import Siblings
from node.signs import Signs
from node.site import KEY_FILE, own_site
from node.sockets import Sockets
from node.stop import Stop
from node.store.changes import prune_changes
from node.store.database import Database, StoreError, StoreUnavailable
from node.store.tokens import prune_sessions
from node.store.writing import forget_replays
from node.syncing import Syncing
from node.tls import is_on
from node.web.asked import AdminDesk
from node.web.audit import AuditApi
from node.web.health import Check
from node.web.object_rows import object_section
from node.web.operators import OperatorDesk
from node.web.records import RecordsApi
from node.web.routes import build_admin_app
from node.web.sealing import SealApi, sealing_section
from node.web.sources import SourcesApi
from node.web.tokens import TokensApi
from node.writepath import WritePath, policy_of
from resolver.keys import ServerKey
from resolver.keys.seal import SealError
from resolver.observe import Tally
from resolver.service import Resolver

PRUNE_SECONDS = 600.0
REPLAYS_AT_ONCE = 1_000  # forgotten in one statement
PREPARE_SECONDS = 5.0  # that a start waits for what can be made later too
AGAIN_SECONDS = 5.0  # between tries to make it
SEAL_SECONDS = 6.0  # that the ledger has at a stop, while the admin listener drains

log = logging.getLogger(__name__)


async def serve_keeper(
    settings: Settings,
    run_directory: Path,
    sockets: Sockets,
    own: Counters,
    readers: Sequence[Counters],
    stop: Stop,
    ready: Callable[[], None],
) -> None:
    """Serve the admin listener, and do what one process must do for all."""

    async with task_group() as spawn:
        keeper = Keeper(settings, run_directory, own, readers, spawn)

        def checks() -> list[Check]:
            return keeper.checks() + keeper.syncing.checks()

        def metrics() -> bytes:
            return exposition(
                readers,
                keeper.reverse.levels,
                own,
                *keeper.ledger_levels(),
                keeper.syncing.levels(),
            )

        app = build_admin_app(
            metrics,
            checks,
            records=keeper.records,
            tokens=keeper.tokens,
            jobs=keeper.bulk.jobs,
            exports=keeper.bulk.exports,
            audit=keeper.audit,
            sources=keeper.sources,
            sections=[*keeper.sections, *keeper.syncing.sections],
        )
        try:
            await keeper.prepare()
            async with serving_http(app, "httptools", sockets.admin, settings.idle_seconds) as http:
                ready()
                await stop.wait()
                http.should_exit = True
                await keeper.syncing.end(in_order=stop.is_in_order)
                await keeper.end_ledger()
        finally:
            await keeper.close()


class Keeper:
    """The parts of the keeper.  It answers few questions, so it keeps next to nothing of answers."""

    def __init__(
        self,
        settings: Settings,
        run_directory: Path,
        own: Counters,
        readers: Sequence[Counters],
        spawn: Spawn,
    ) -> None:
        self._settings = settings
        self._spawn = spawn
        self._readers = readers
        self.tally = Tally(own.cells)
        self.database = Database(settings.database_url, max_connections=2)
        self.reading = ReadPath(
            settings.database_url, None, self.tally, spawn, hot_entries=1, memory_entries=1
        )
        self.siblings = Siblings(run_directory, settings.workers)
        self.writing = WritePath(settings, self.tally, spawn, self.siblings.tell)
        key = ServerKey.load_or_make(settings.data_dir / KEY_FILE)
        self.service = Resolver(
            self.reading.memory,
            self.reading.vault,
            self.reading.prefixes,
            own_site(settings.announced, key.public_key(), tls=is_on(settings)),
            case_sensitive=settings.case_sensitive,
        )
        self.records = RecordsApi(self.writing.registrar, self.writing.login, self.service)
        desk = AdminDesk(self.writing.login, self.service)
        operators = Operators(policy_of(settings), self.writing.keys)
        for_operators = OperatorDesk(desk, operators)
        self.sections = [object_section(self.writing.objects, for_operators)]
        tokens = Tokens(self.writing.database, case_sensitive=settings.case_sensitive)
        self.tokens = TokensApi(tokens, for_operators)
        self.bulk = Bulk(settings, self.writing, self.service, for_operators, (own, *readers))
        spawn(self.reading.records.run())
        spawn(self.reading.feed.run())
        self.reverse = ReverseIndex(self.database, SearchedTypes.of(settings.reverse_types))
        spawn(self.reverse.run())
        spawn(self.bulk.runner.run())
        self.ledger: LedgerRole | None = None
        self.audit: AuditApi | None = None
        self.sources: SourcesApi | None = None
        ledger: Path | None = None
        if settings.ledger:
            conduct = conduct_of(settings, origin_of(settings))
            ledger, files = conduct.directory, LogFiles(conduct.directory)
            self.audit = AuditApi(files, conduct.origin, self.database, needs_nonce=False)
            self.sources = SourcesApi(self.database, for_operators)
            self.sections.append(sealing_section(SealApi(conduct.directory, for_operators)))
            self.ledger = LedgerRole(self.database, conduct, readers, self.tally)
            spawn(self.ledger.run())
            spawn(Daily(self.database, conduct.directory).run())
        signs = Signs(Siblings(run_directory, settings.workers), readers, own, self.checks)
        objects, seal = self.writing.objects, self.writing.seal
        self.syncing = Syncing(
            settings, self.database, objects, seal, for_operators, spawn, ledger, signs
        )
        spawn(
            _prune_for_ever(
                self.database, self.bulk.runner, is_syncing=self.syncing.role is not None
            )
        )

    async def prepare(self) -> None:
        """Put prefixes right and make the operator token; while the database is away that is done later."""
        self._spawn(_refresh_routes(self.writing.objects))
        if not await self._has_operator_token():
            self._spawn(self._make_operator_token())

    def checks(self) -> list[Check]:
        """How the workers stand, and the ledger, if there is one."""
        found = checks_of([each.cells for each in self._readers if not each.is_vacant])
        if self.ledger is None:
            return found
        standing = self.ledger.standing()
        return [*found, Check("ledger", standing.state is not State.STOPPED, standing.reason)]

    def ledger_levels(self) -> tuple[WitnessLevels, LogLevels]:
        """What the metrics show of the ledger."""
        if self.ledger is None:
            return WitnessLevels(), LogLevels()
        standing = self.ledger.standing()
        seen = standing.witnesses
        witnesses = WitnessLevels(seen.size, seen.met_at, len(seen.refusals)) if seen else None
        stopped = standing.state is State.STOPPED
        log_levels = LogLevels(
            standing.size, standing.published_at, standing.behind, stopped, standing.apart
        )
        return witnesses or WitnessLevels(), log_levels

    async def end_ledger(self) -> None:
        """Have all that was recorded sealed and published: the workers have stopped.  The rest waits for a start."""
        if self.ledger is None:
            return
        try:
            async with asyncio.timeout(SEAL_SECONDS):
                await self.ledger.end()
        except TimeoutError:
            log.warning("not all of the ledger is sealed; the next start does it")

    async def close(self) -> None:
        """Let go of Postgres and of the workers."""
        await self.siblings.close()
        await self.writing.close()
        await self.reading.close()
        await self.database.close()

    async def _make_operator_token(self) -> None:
        while not await self._has_operator_token():  # noqa: ASYNC110  nobody tells when the database is back
            await asyncio.sleep(AGAIN_SECONDS)

    async def _has_operator_token(self) -> bool:
        path = self._settings.data_dir / OPERATOR_TOKEN_FILE
        name = f"operator of {path.parent} on {gethostname()}"
        try:
            async with asyncio.timeout(PREPARE_SECONDS):
                await ensure_operator_token(self.database, path, name)
        except (StoreError, StoreUnavailable, OSError) as error:  # a time-out is an OSError
            log.warning("no operator token yet", extra={"reason": str(error)})
            return False
        return True


async def _refresh_routes(objects: Objects) -> None:
    """Once at the start: have prefixes answered and told as the model has them, from where this node is now."""
    while True:
        try:
            return await objects.refresh_routes()
        except (StoreError, StoreUnavailable):
            await asyncio.sleep(AGAIN_SECONDS)
        except (ModelError, SealError) as error:
            # Waiting mends nothing of this, and the rest of the node works.
            return log.error("prefixes cannot be put right", extra={"reason": str(error)})


async def _prune_for_ever(database: Database, runner: JobRunner, *, is_syncing: bool) -> None:
    """Drop what nobody needs any more: changes that every worker has read long ago, old replays, sessions and jobs."""
    while True:
        with suppress(StoreError, StoreUnavailable):  # the next round does it
            await prune_changes(database, is_syncing=is_syncing)
            await prune_sessions(database)
            await runner.prune()
            async with database.connection() as connection:
                while await forget_replays(connection, REPLAYS_AT_ONCE) == REPLAYS_AT_ONCE:
                    pass
        await asyncio.sleep(PRUNE_SECONDS)
