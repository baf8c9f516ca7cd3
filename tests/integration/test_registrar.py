"""Writes on a real database: whole or not at all, each with its version and its change, once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from node.registry.reading import READ_SECONDS
from node.registry.registrar import RecordRegistrar
from node.store.database import Database, StoreUnavailable
from node.store.keys import RecordKeys
from node.store.listing import COUNT_SECONDS, LIST_SESSION
from resolver.registrar import MUST_EXIST, Caller, History, Listing, Operation, Scope, Verdict
from resolver.wire import (
    AdminPermission,
    HandleValue,
    Reference,
    ResponseCode,
    decode_values,
    encode_vlist,
)
from tests.support.registry import (
    ADMIN,
    ALL,
    OTHER,
    ROOT,
    SEAL,
    admin,
    do,
    home,
    named,
    registrar_on,
    url,
)

pytestmark = pytest.mark.db

CREATE, ADD, MODIFY = Operation.CREATE, Operation.ADD, Operation.MODIFY
REMOVE, DELETE, REVERT = Operation.REMOVE, Operation.DELETE, Operation.REVERT
DONE = ResponseCode.SUCCESS
SECRET = HandleValue(300, b"HS_SECKEY", b"geheim", permissions=12)
NAME = "88.1/x"


@pytest.fixture
async def written() -> list[tuple[bytes, int]]:
    return []


@pytest.fixture
async def registrar(
    database: Database, written: list[tuple[bytes, int]]
) -> AsyncIterator[RecordRegistrar]:
    await home(database, "88.1")
    async with registrar_on(database, written=written) as made:
        yield made


async def rows(database: Database, statement: str, *arguments: object) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(statement, *arguments)]


async def stored(database: Database, key: bytes) -> tuple[HandleValue, ...]:
    found = await rows(database, "select coalesce(whole, wire) from record where key = $1", key)
    (encoded,) = found[0]
    assert isinstance(encoded, bytes)
    return decode_values(encoded)


async def test_a_write_leaves_record_version_and_change(
    database: Database, registrar: RecordRegistrar, written: list[tuple[bytes, int]]
) -> None:
    verdict = await do(
        registrar, CREATE, NAME, url(), admin(), origin="tcp 192.0.2.1", reason="a first one"
    )
    assert verdict == Verdict(DONE, created=True, handle=b"88.1/x", version=1)
    found = await rows(
        database,
        "select version, serial, operation, caller, means, origin, reason, before from version",
    )
    serial = written[0][1]
    who = ("create", "300:0.NA/ROOT", "operator", "tcp 192.0.2.1", "a first one")
    assert found == [(1, serial, *who, None)]
    changes = await rows(database, "select serial, key from change where kind = 0")
    assert changes == [(serial, b"88.1/X")] == [(each[1], each[0]) for each in written]


async def test_each_write_keeps_what_was_before(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url(), admin())
    await do(registrar, ADD, NAME, url(2, b"b"))
    await do(registrar, REMOVE, NAME, indexes=(1,))
    found = await rows(database, "select version, before from version order by version")
    shown = [
        None if before is None else [value.index for value in decode_values(before)]
        for _, before in found
        if before is None or isinstance(before, bytes)
    ]
    assert shown == [None, [1, 100], [1, 100, 2]]
    assert [value.index for value in await stored(database, b"88.1/X")] == [100, 2]


async def test_history_tells_what_each_write_left_behind(registrar: RecordRegistrar) -> None:
    await do(registrar, CREATE, NAME, url(), SECRET)
    await do(registrar, ADD, NAME, url(2, b"b"))
    await do(registrar, DELETE, NAME, reason="mistake")
    await do(registrar, CREATE, NAME, url(5))
    history = await registrar.history(named(NAME), ROOT)
    shown = [
        (each.version, each.operation, each.values and [v.index for v in each.values])
        for each in history.revisions
    ]
    assert shown == [(4, CREATE, [5]), (3, DELETE, None), (2, ADD, [1, 2]), (1, CREATE, [1])]
    older = await registrar.history(named(NAME), ROOT, before=3, limit=1)
    assert older.revisions == history.revisions[2:3]


async def test_history_leaves_out_what_not_even_administrators_may_read(
    registrar: RecordRegistrar,
) -> None:
    await do(registrar, CREATE, NAME, url(), url(2, permissions=0))
    history = await registrar.history(named(NAME), ROOT)
    assert [value.index for value in history.revisions[0].values or ()] == [1]


async def test_revert_brings_back_secrets_as_well(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url(), SECRET)
    before = await stored(database, b"88.1/X")
    await do(registrar, DELETE, NAME)
    verdict = await do(registrar, REVERT, NAME, to_version=1)
    assert (verdict.code, verdict.version) == (DONE, 3)
    assert [v.data for v in await stored(database, b"88.1/X")] == [v.data for v in before]
    refused = await do(registrar, REVERT, NAME, to_version=2)
    assert refused.code is ResponseCode.VALUES_NOT_FOUND


async def test_a_secret_lies_sealed_and_opens_for_authentication_alone(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url(), SECRET)
    await do(registrar, ADD, NAME, url(2))
    for table in ("record", "version"):
        for (row,) in await rows(database, f"select t::text from {table} t"):  # noqa: S608
            assert b"geheim".hex() not in str(row)
    reading = await registrar.read(named(NAME), ROOT)
    assert [value.index for value in reading.values] == [1, 2]
    keys = await RecordKeys(database, SEAL).keys(b"88.1/X")
    assert keys is not None
    assert [value.data for value in keys if value.type == b"HS_SECKEY"] == [b"geheim"]


async def test_a_secret_of_a_minted_handle_opens_as_it_was_given(
    database: Database, registrar: RecordRegistrar
) -> None:
    told = await do(registrar, CREATE, "88.1/lot-", SECRET, mint=True)
    keys = await RecordKeys(database, SEAL).keys(told.handle.upper())
    assert keys is not None
    assert [value.data for value in keys] == [b"geheim"]


async def test_keys_of_a_deleted_record_and_of_a_prefix_let_go_prove_nothing(
    database: Database, registrar: RecordRegistrar
) -> None:
    keys = RecordKeys(database, SEAL)
    await do(registrar, CREATE, NAME, SECRET)
    await do(registrar, CREATE, "88.1/y", SECRET)
    await do(registrar, DELETE, NAME)
    assert await keys.keys(b"88.1/X") is None
    assert await keys.keys(b"88.1/Y") is not None
    await do(registrar, Operation.UNHOME, "0.NA/88.1")
    assert await keys.keys(b"88.1/Y") is None


async def test_the_same_again_changes_nothing_and_keeps_its_time(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url(), SECRET)
    before = await stored(database, b"88.1/X")
    again = await do(registrar, CREATE, NAME, url(timestamp=7), SECRET, overwrite=True)
    assert (again.code, again.created, again.version) == (DONE, False, 1)
    public = replace(SECRET, permissions=14)  # which a secret key never is
    assert (await do(registrar, CREATE, NAME, url(), public, overwrite=True)).version == 1
    assert await stored(database, b"88.1/X") == before
    assert len(await rows(database, "select 1 from version")) == 1


async def test_of_two_writers_one_wins_and_no_mixture_is_left(database: Database) -> None:
    await home(database, "88.1")
    async with registrar_on(database) as one, registrar_on(database) as two:
        await do(one, CREATE, NAME, url())
        for version in range(1, 20):
            verdicts = await asyncio.gather(
                *(
                    do(
                        registrar,
                        CREATE,
                        NAME,
                        *(url(index, b"%d by %d" % (version, writer)) for index in (1, 2, 3)),
                        overwrite=True,
                        if_version=version,
                    )
                    for writer, registrar in enumerate((one, two))
                )
            )
            assert sorted(each.code for each in verdicts) == [DONE, ResponseCode.PROTOCOL_ERROR]
            (lost,) = [each for each in verdicts if each.code is not DONE]
            assert (lost.condition_failed, lost.version) == (True, version + 1)
            assert len({value.data for value in await stored(database, b"88.1/X")}) == 1


async def test_many_writers_of_one_record_all_get_through(database: Database) -> None:
    await home(database, "88.1")
    async with registrar_on(database) as one, registrar_on(database) as two:
        await do(one, CREATE, NAME, url(1_000))
        told = await asyncio.gather(
            *(do((one, two)[n % 2], ADD, NAME, url(n, b"%d" % n)) for n in range(1, 101))
        )
        assert {each.code for each in told} == {DONE}
        assert sorted(each.version for each in told) == list(range(2, 102))
    assert {value.index for value in await stored(database, b"88.1/X")} == {*range(1, 101), 1_000}


async def test_serials_have_no_gap_and_follow_the_commits(database: Database) -> None:
    await home(database, "88.1")
    async with registrar_on(database) as one, registrar_on(database) as two:
        await asyncio.gather(
            *(do((one, two)[n % 2], CREATE, f"88.1/{n % 50}", overwrite=True) for n in range(200))
        )
    serials = [row[0] for row in await rows(database, "select serial from change order by 1")]
    assert serials == list(range(1, len(serials) + 1))
    (counter,) = await rows(database, "select serial from change_counter")
    assert counter == (len(serials),)
    assert len(await rows(database, "select 1 from version")) == len(serials) - 1  # and a prefix


async def test_an_idempotency_key_gets_the_first_answer_and_writes_once(
    database: Database, registrar: RecordRegistrar
) -> None:
    first = await do(registrar, CREATE, NAME, url(), idempotency_key="k")
    again = await do(registrar, CREATE, NAME, url(), idempotency_key="k")
    assert again == first._replace(replayed=True)
    other = await do(registrar, CREATE, NAME, url(2), idempotency_key="k")
    assert other.code is ResponseCode.PROTOCOL_ERROR
    somebody = await do(registrar, CREATE, NAME, url(), idempotency_key="k", caller=ADMIN)
    assert somebody.code is ResponseCode.HANDLE_ALREADY_EXISTS
    assert len(await rows(database, "select 1 from version")) == 1


async def test_a_minted_handle_sent_twice_with_its_key_is_minted_once(
    database: Database, registrar: RecordRegistrar
) -> None:
    first = await do(registrar, CREATE, "88.1/lot-", url(), mint=True, idempotency_key="k")
    again = await do(registrar, CREATE, "88.1/lot-", url(), mint=True, idempotency_key="k")
    assert first.handle.startswith(b"88.1/lot-")
    assert len(first.handle) == len("88.1/lot-") + 36
    assert again == first._replace(replayed=True)
    below = await do(registrar, CREATE, "88.1", url(), mint=True)
    assert below.handle.startswith(b"88.1/")
    assert len(await rows(database, "select 1 from record")) == 2


async def test_a_key_is_forgotten_after_a_day(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url(), overwrite=True, idempotency_key="k")
    async with database.connection() as connection:
        await connection.execute("update idempotency set at = at - interval '25 hours'")
    again = await do(registrar, CREATE, NAME, url(2), overwrite=True, idempotency_key="k")
    assert (again.code, again.replayed, again.version) == (DONE, False, 2)
    told = await do(registrar, CREATE, NAME, url(2), overwrite=True, idempotency_key="k")
    assert told == again._replace(replayed=True)


async def test_a_tombstone_says_why_and_versions_go_on(
    database: Database, registrar: RecordRegistrar
) -> None:
    await do(registrar, CREATE, NAME, url())
    gone = await do(registrar, DELETE, NAME, reason="withdrawn")
    assert (gone.code, gone.version) == (DONE, 2)
    ((what, wire),) = await rows(database, "select gone, wire from record")
    assert isinstance(what, bytes)
    assert b"withdrawn" in what
    assert wire == bytes(4)
    assert (await do(registrar, DELETE, NAME)).code is ResponseCode.HANDLE_NOT_FOUND
    back = await do(registrar, CREATE, "88.1/X", url())
    assert (back.code, back.created, back.handle, back.version) == (DONE, True, b"88.1/X", 3)


@pytest.mark.parametrize(("condition", "holds"), [(1, True), (2, False), (MUST_EXIST, True)])
async def test_conditions_on_the_version(
    registrar: RecordRegistrar, condition: int, *, holds: bool
) -> None:
    await do(registrar, CREATE, NAME, url())
    verdict = await do(registrar, ADD, NAME, url(2), if_version=condition)
    assert (verdict.code is DONE, verdict.condition_failed) == (holds, not holds)


async def test_a_condition_of_none_there(registrar: RecordRegistrar) -> None:
    made = await do(registrar, CREATE, NAME, url(), overwrite=True, if_version=0)
    again = await do(registrar, CREATE, NAME, url(2), overwrite=True, if_version=0)
    assert (made.code, again.condition_failed) == (DONE, True)
    missing = await do(registrar, CREATE, "88.1/y", overwrite=True, if_version=MUST_EXIST)
    assert missing.condition_failed


async def test_groups_within_groups_give_rights(registrar: RecordRegistrar) -> None:
    inner = HandleValue(2, b"HS_VLIST", encode_vlist([Reference(ADMIN.handle, 300)]))
    outer = HandleValue(1, b"HS_VLIST", encode_vlist([Reference(b"88.1/inner", 2)]))
    await do(registrar, CREATE, "88.1/inner", inner)
    await do(registrar, CREATE, "88.1/outer", outer)
    await do(registrar, CREATE, NAME, url(), admin(Reference(b"88.1/outer", 1)))
    assert (await do(registrar, ADD, NAME, url(2), caller=ADMIN)).code is DONE
    refused = await do(registrar, ADD, NAME, url(3), caller=OTHER)
    assert refused.code is ResponseCode.NOT_ADMINISTRATOR


async def test_groups_that_name_each_other_come_to_an_end(registrar: RecordRegistrar) -> None:
    for one, other in (("a", b"88.1/b"), ("b", b"88.1/a")):
        ring = HandleValue(1, b"HS_VLIST", encode_vlist([Reference(other, 1)]))
        await do(registrar, CREATE, f"88.1/{one}", ring)
    await do(registrar, CREATE, NAME, admin(Reference(b"88.1/a", 1)))
    refused = await do(registrar, ADD, NAME, url(), caller=ADMIN)
    assert refused.code is ResponseCode.NOT_ADMINISTRATOR


async def test_a_server_administrator_may_do_everything(registrar: RecordRegistrar) -> None:
    chief = Caller(b"88.1/CHIEF", 300, "basic")
    locked = url(permissions=10)
    assert (await do(registrar, CREATE, NAME, locked, caller=chief)).code is DONE
    assert (await do(registrar, MODIFY, NAME, url(1, b"b"), caller=chief)).code is DONE
    homed = await do(registrar, Operation.HOME, "0.NA/88.2", caller=chief)
    assert (homed.code, homed.created) == (DONE, True)
    assert (await do(registrar, CREATE, "88.2/a", caller=chief)).code is DONE
    listed = await registrar.list_prefixes(chief, count=True)
    assert (listed.names, listed.total) == ((b"88.1", b"88.2"), 2)


async def test_homing_is_noted_and_told(database: Database, registrar: RecordRegistrar) -> None:
    await do(registrar, Operation.HOME, "0.NA/88.7", origin="here")
    await do(registrar, Operation.UNHOME, "0.NA/88.7")
    found = await rows(database, "select version, operation, origin from version order by serial")
    assert found == [(1, "home", "here"), (2, "unhome", "")]
    kinds = await rows(database, "select key, kind from change order by serial desc limit 2")
    assert kinds == [(b"88.7", 1)] * 2
    refused = await do(registrar, Operation.HOME, "0.NA/88.8", caller=ADMIN)
    assert refused.code is ResponseCode.NOT_ADMINISTRATOR
    asked = await do(registrar, Operation.HOME, "0.NA/88.8", caller=None)
    assert asked.code is ResponseCode.AUTHENTICATION_NEEDED


async def test_lists_come_in_pages(registrar: RecordRegistrar) -> None:
    for number in range(5):
        await do(registrar, CREATE, f"88.1/n{number}")
    await do(registrar, DELETE, "88.1/n3")
    prefix = named("0.NA/88.1")
    first = await registrar.list_handles(prefix, ROOT, limit=2, count=True)
    assert (first.names, first.total) == ((b"88.1/n0", b"88.1/n1"), 4)
    second = await registrar.list_handles(prefix, ROOT, limit=2, after=first.last)
    assert second.names == (b"88.1/n2", b"88.1/n4")
    skipped = await registrar.list_handles(prefix, ROOT, limit=2, skip=2)
    assert skipped.names == second.names
    codes = [(await registrar.list_handles(prefix, who)).code for who in (None, OTHER)]
    assert codes == [ResponseCode.AUTHENTICATION_NEEDED, ResponseCode.NOT_ADMINISTRATOR]
    await do(registrar, CREATE, "0.NA/88.1", admin(OTHER, AdminPermission.LIST_HANDLES))
    assert (await registrar.list_handles(prefix, OTHER)).code is DONE
    foreign = await registrar.list_handles(named("0.NA/99.9"), ROOT)
    assert foreign.code is ResponseCode.SERVER_NOT_RESPONSIBLE


async def test_lists_that_wait_hold_up_no_write_and_no_login(
    database: Database, database_url: str, registrar: RecordRegistrar
) -> None:
    async with (
        Database(database_url, max_connections=1) as listing,
        registrar_on(database, listing=listing) as busy,
    ):
        async with listing.connection():
            waiting: list[asyncio.Task[Listing] | asyncio.Task[History]] = [
                asyncio.create_task(busy.list_handles(named("0.NA/88.1"), ROOT, count=True)),
                asyncio.create_task(busy.list_prefixes(ROOT, count=True)),
                asyncio.create_task(busy.history(named(NAME), ROOT)),
            ]
            assert (await do(busy, CREATE, NAME, url())).code is DONE
            assert (await busy.read(named(NAME), ROOT)).code is DONE
            assert await RecordKeys(database, SEAL).keys(b"88.1/X") is not None
            assert not any(each.done() for each in waiting)
        assert {(await each).code for each in waiting} == {DONE}


async def test_a_count_that_takes_too_long_is_ended_by_postgres(
    database: Database, database_url: str, registrar: RecordRegistrar
) -> None:
    hasty = dict(LIST_SESSION, statement_timeout="50ms")
    async with (
        Database(database_url, settings=hasty) as listing,
        registrar_on(database, listing=listing) as busy,
        database.transaction() as connection,
    ):
        await connection.execute("lock table record in access exclusive mode")
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await busy.list_handles(named("0.NA/88.1"), ROOT, count=True)
    assert READ_SECONDS > COUNT_SECONDS > 0


async def test_restricted_values_are_read_by_who_may(registrar: RecordRegistrar) -> None:
    hidden, never = url(2, permissions=12), url(3, permissions=4)
    await do(registrar, CREATE, NAME, url(), hidden, never, admin(), SECRET)
    seen = {
        who: [value.index for value in (await registrar.read(named(NAME), who)).values]
        for who in (None, OTHER, ADMIN)
    }
    assert seen == {None: [1, 100], OTHER: [1, 100], ADMIN: [1, 2, 100]}


async def test_a_token_is_held_to_its_scopes_and_prefixes(registrar: RecordRegistrar) -> None:
    await do(registrar, CREATE, NAME, url(), admin())
    reader = Caller(ADMIN.handle, 300, "token", scopes=frozenset({Scope.READ}))
    elsewhere = Caller(
        ADMIN.handle, 300, "token", scopes=frozenset({Scope.WRITE}), prefixes=(b"88.9",)
    )
    fitting = Caller(
        ADMIN.handle, 300, "token", scopes=frozenset({Scope.WRITE}), prefixes=(b"88.1",)
    )
    codes = [(await do(registrar, ADD, NAME, url(9), caller=c)).code for c in (reader, elsewhere)]
    assert codes == [ResponseCode.INSUFFICIENT_PERMISSIONS] * 2
    assert (await do(registrar, ADD, NAME, url(9), caller=fitting)).code is DONE


async def test_too_much_for_one_message_is_refused_and_the_others_go_on(
    registrar: RecordRegistrar,
) -> None:
    long = [url(index, b"x" * 200_000) for index in (1, 2)]
    told = await asyncio.gather(
        do(registrar, CREATE, NAME, *long), do(registrar, CREATE, "88.1/y", url())
    )
    assert [each.code for each in told] == [ResponseCode.INVALID_VALUE, DONE]


async def test_a_handle_as_long_as_the_protocol_takes(registrar: RecordRegistrar) -> None:
    name = "88.1/" + "x" * (2_048 - 5)
    assert (await do(registrar, CREATE, name, url())).code is DONE
    assert (await registrar.read(named(name), None)).code is DONE


async def test_all_rights_are_asked_for_in_the_right_order(registrar: RecordRegistrar) -> None:
    await do(registrar, CREATE, NAME, url(), admin(ADMIN, ALL))
    nobody = [
        await do(registrar, operation, NAME, *values, caller=None, **fields)
        for operation, values, fields in (
            (CREATE, [url()], {}),
            (CREATE, [url()], {"overwrite": True}),
            (ADD, [url()], {}),
            (MODIFY, [url(7)], {}),
            (MODIFY, [url()], {}),
            (REMOVE, [], {"indexes": (1,)}),
            (DELETE, [], {}),
        )
    ]
    needed = ResponseCode.AUTHENTICATION_NEEDED
    exists, missing = ResponseCode.HANDLE_ALREADY_EXISTS, ResponseCode.VALUES_NOT_FOUND
    assert [each.code for each in nobody] == [
        *(exists, needed, needed, missing, needed, needed, needed)
    ]
    assert ROOT.is_operator


async def test_what_is_created_is_timed_and_nothing_else(database: Database) -> None:
    await home(database, "88.1")
    times: list[int] = []
    async with registrar_on(database, times=times) as registrar:
        await do(registrar, CREATE, NAME, admin(ADMIN))
        assert [nanoseconds > 0 for nanoseconds in times] == [True]
        await do(registrar, CREATE, NAME, admin(ADMIN))  # it exists
        await do(registrar, ADD, NAME, url())
        await do(registrar, DELETE, NAME)
    assert len(times) == 1
