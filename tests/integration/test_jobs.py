"""Jobs: what becomes of each row, what a dry run says, and that a job that was cut short loses nothing."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from node.registry import jobrun, jobrunner
from node.registry.jobs import BadOrder, TooManyJobs
from node.store.database import Database, StoreUnavailable, migrate
from node.store.jobs import JOB_LOCK, JobFormat, JobKind, JobState, advance_job
from resolver.registrar import Caller
from tests.support.jobs import JobBench, Json, lines
from tests.support.servers import PostgresServer
from tests.support.waiting import until

pytestmark = pytest.mark.db

PREFIX: Json = {"handle": "0.NA/88.118.8", "values": []}


def url(data: str = "https://a.example/", index: int = 1, **more: object) -> Json:
    return {"index": index, "type": "URL", "data": data, **more}


def record(name: str, *values: Json) -> Json:
    return {"handle": f"88.118.8/{name}", "values": list(values or (url(),))}


def row(operation: str, name: str, **more: object) -> Json:
    return {"operation": operation, "handle": f"88.118.8/{name}", **more}


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> JobBench:
    return JobBench(database, tmp_path)


async def test_a_load_says_of_each_row_what_became_of_it(bench: JobBench) -> None:
    await bench.do(lines(PREFIX, record("same"), record("other")))
    job, results = await bench.do(
        lines(
            record("same"),
            record("other", url("https://b.example/"), url(index=2)),
            record("twice"),
            {"handle": "nothing"},
            record("TWICE"),
            record("last"),
        ),
        reason="spring cleaning",
    )
    assert job.state is JobState.DONE
    assert [(each["row"], each["outcome"]) for each in results] == [
        (1, "unchanged"),
        (2, "changed"),
        (3, "superseded"),
        (4, "refused"),
        (5, "created"),
        (6, "created"),
    ]
    assert (results[1]["added"], results[1]["changed"]) == ([2], [1])
    assert "0.NA/nothing" in str(results[3]["reason"])
    assert job.reached.outcomes["unchanged"] == 1
    version = (await bench.versions(b"88.118.8/OTHER"))[-1]
    assert (version["origin"], version["reason"]) == (f"job {job.id}", "spring cleaning")
    assert version["means"] == "operator"


async def test_a_dry_run_says_the_same_and_does_nothing(bench: JobBench) -> None:
    await bench.do(lines(PREFIX, record("same"), record("other")))
    before = await bench.scalar("select serial from change_counter")
    content = lines(
        record("same"), record("other", url("https://b/")), record("new"), {"handle": 1}
    )
    planned, plan = await bench.do(content, is_dry_run=True)
    assert await bench.scalar("select serial from change_counter") == before
    assert planned.state is JobState.DONE
    done, results = await bench.do(content)
    assert plan == results
    assert planned.reached.outcomes == done.reached.outcomes


async def test_rows_of_operations_follow_the_rules_of_the_registrar(bench: JobBench) -> None:
    await bench.do(lines(PREFIX))
    job, results = await bench.do(
        lines(
            row("create", "a", values=[url()]),
            row("add", "a", values=[url(index=2)]),
            row("modify", "a", values=[url("https://b.example/")]),
            row("remove", "a", indexes=[2]),
            row("create", "a", values=[url()]),
            row("modify", "a", values=[url(index=7)]),
            row("delete", "missing"),
            row("create", "b", values=[url()]),
            row("delete", "b", reason="a mistake"),
            row("frobnicate", "b"),
            {"operation": "create", "handle": "77.1/x", "values": [url()]},
        ),
        kind=JobKind.OPERATIONS,
    )
    assert [each["outcome"] for each in results] == [
        "created",
        "changed",
        "changed",
        "changed",
        "refused",
        "refused",
        "refused",
        "created",
        "deleted",
        "refused",
        "refused",
    ]
    assert [each.get("code") for each in results[4:7]] == [101, 200, 100]
    assert results[-1]["code"] == 301
    assert "frobnicate" in str(results[9]["reason"])
    assert (results[1]["added"], results[3]["removed"]) == ([2], [2])
    values = await bench.values(b"88.118.8/A")
    assert values is not None
    assert [(each.index, each.data) for each in values] == [(1, b"https://b.example/")]
    assert [each["operation"] for each in await bench.versions(b"88.118.8/B")] == [
        "create",
        "delete",
    ]
    assert (await bench.versions(b"88.118.8/B"))[1]["reason"] == "a mistake"
    assert job.reached.outcomes == {"created": 2, "changed": 3, "refused": 5, "deleted": 1}


async def test_a_dry_run_of_operations_sees_what_its_earlier_rows_would_have_done(
    bench: JobBench,
) -> None:
    content = lines(
        {"operation": "home", "handle": "0.NA/88.118.8"},
        row("create", "a", values=[url()]),
        row("add", "a", values=[url(index=2)]),
        row("create", "a", values=[url()]),
        row("delete", "a"),
        row("delete", "a"),
    )
    _, plan = await bench.do(content, kind=JobKind.OPERATIONS, is_dry_run=True)
    assert await bench.scalar("select count(*) from record") == 0
    assert await bench.scalar("select count(*) from prefix") == 0
    _, results = await bench.do(content, kind=JobKind.OPERATIONS)
    assert plan == results
    assert [each["outcome"] for each in plan] == [
        "changed",
        "created",
        "changed",
        "refused",
        "deleted",
        "refused",
    ]


async def test_a_batch_file_of_the_handle_software_is_carried_out(bench: JobBench) -> None:
    content = b"""HOME 127.0.0.1:2641:TCP
0.NA/88.118.8

AUTHENTICATE SECKEY:300:0.NA/88.118.8
DELETE 88.118.8/not-an-operation-but-a-password
CREATE 88.118.8/x
100 HS_ADMIN 86400 1110 ADMIN
300:110011111111:0.NA/88.118.8
300 HS_SECKEY 86400 1100 UTF8 my secret
400 HS_VLIST 86400 1110 LIST 300:88.1/a; 301:88.1/b;
1 URL 600 1110 UTF8 https://a.example/?q=1:2

ADD 88.118.8/x
2 EMAIL 86400 1110 UTF8 a@a.example
MODIFY 88.118.8/x
1 URL 86400 1110 UTF8 https://b.example/
REMOVE 2:88.118.8/x
CREATE 88.118.8/file
1 HS_PUBKEY 86400 1110 FILE /etc/passwd

DELETE 88.118.8/y
"""
    job, results = await bench.do(content, format=JobFormat.BATCH)
    assert job.state is JobState.DONE
    assert [(each["row"], each["outcome"]) for each in results] == [
        (2, "changed"),
        (6, "created"),
        (13, "changed"),
        (15, "changed"),
        (17, "changed"),
        (18, "refused"),
        (21, "refused"),
    ]
    assert "FILE" in str(results[5]["reason"])
    values = await bench.values(b"88.118.8/X")
    assert values is not None
    found = {each.index: each.data for each in values}
    assert sorted(found) == [1, 100, 300, 400]
    assert found[1] == b"https://b.example/"
    assert b"my secret" not in found[300]


@pytest.mark.parametrize("kind", [JobKind.LOAD, JobKind.OPERATIONS])
@pytest.mark.parametrize("stop", [1, 3, 4])
async def test_a_job_that_was_cut_short_goes_on_exactly_where_it_was(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch, kind: JobKind, stop: int
) -> None:
    """Cut once before and once after the commit: rows are neither lost nor done twice, and so are their results."""
    monkeypatch.setattr("node.registry.chunks.MAX_CHUNK_LINES", 20)
    monkeypatch.setattr("node.registry.operating.GROUP_ROWS", 20)
    await bench.do(lines(PREFIX))
    names = [f"x{number}" for number in range(100)]
    content = lines(
        *(
            record(name) if kind is JobKind.LOAD else row("create", name, values=[url()])
            for name in names
        )
    )
    job = await bench.hand_in(content, kind=kind)
    advance, calls = advance_job, []

    async def advance_and_die(*arguments: object) -> bool:
        calls.append(arguments)
        is_cancelled = await advance(*arguments)  # type: ignore[arg-type]
        if len(calls) == stop:
            raise KeyboardInterrupt
        return is_cancelled

    monkeypatch.setattr(jobrun, "advance_job", advance_and_die)
    with pytest.raises(KeyboardInterrupt):
        await bench.carry_out()
    half, _ = await bench.look(job)
    assert half.state is JobState.RUNNING
    assert half.reached.row == 20 * (stop - 1)
    results = bench.files.results(job.asked.file)
    assert results.stat().st_size > half.reached.results  # those of rows whose commit never came
    await bench.carry_out(bench.another_runner())
    done, found = await bench.look(job)
    assert done.state is JobState.DONE
    assert [each["row"] for each in found] == list(range(1, 101))
    assert {each["outcome"] for each in found} == {"created"}
    assert results.stat().st_size == done.reached.results
    assert await bench.scalar("select count(*) from version where operation = 'create'") == 101
    assert await bench.scalar("select max(version) from record") == 1


async def test_a_job_goes_on_when_postgres_was_killed_in_the_middle(
    own_postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database(own_postgres.url("postgres")) as first, first.connection() as connection:
        await connection.execute("create database killed")
    url = own_postgres.url("killed")
    await migrate(url)
    async with Database(url) as database:
        await go_on_after_a_kill(own_postgres, JobBench(database, tmp_path), monkeypatch)


async def go_on_after_a_kill(
    own_postgres: PostgresServer, bench: JobBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.registry.chunks.MAX_CHUNK_LINES", 20)
    job = await bench.hand_in(lines(PREFIX, *(record(f"x{number}") for number in range(99))))
    advance, calls = advance_job, []

    async def advance_and_kill(*arguments: object) -> bool:
        calls.append(arguments)
        is_cancelled = await advance(*arguments)  # type: ignore[arg-type]
        if len(calls) == 3:
            await asyncio.to_thread(own_postgres.stop, signal.SIGQUIT)
        return is_cancelled

    monkeypatch.setattr(jobrun, "advance_job", advance_and_kill)
    with pytest.raises(StoreUnavailable):
        await bench.carry_out()
    await asyncio.to_thread(own_postgres.start)
    half, _ = await bench.look(job)
    assert (half.state, half.reached.row) == (JobState.RUNNING, 40)
    await bench.carry_out(bench.another_runner())
    done, results = await bench.look(job)
    assert done.reached.outcomes == {"created": 100}
    assert [each["row"] for each in results] == list(range(1, 101))
    assert await bench.scalar("select max(version) from record") == 1


async def test_one_job_runs_at_a_time_and_another_machine_stands_by(
    bench: JobBench, tmp_path: Path
) -> None:
    job = await bench.hand_in(lines(PREFIX))
    elsewhere = bench.another_runner(tmp_path / "elsewhere")
    assert not await elsewhere.run_next()  # it does not have the file
    async with bench.database.connection() as connection:
        await connection.execute("select pg_advisory_lock($1)", JOB_LOCK)
        assert not await bench.runner.run_next()
        await connection.execute("select pg_advisory_unlock($1)", JOB_LOCK)
    await bench.carry_out()
    done, _ = await bench.look(job)
    assert done.state is JobState.DONE
    assert not bench.files.has_upload(job.asked.file)


async def test_a_job_ends_when_what_it_wrote_has_been_heard(bench: JobBench) -> None:
    asked, heard = [], [2]
    bench.heard_upto = lambda: asked.append(1) or heard[0]  # type: ignore[func-returns-value]
    job = await bench.hand_in(lines(PREFIX, record("x"), record("y")))
    carrying_out = asyncio.create_task(bench.carry_out())
    await until(lambda: bool(asked))
    assert await bench.scalar("select serial from change_counter") == 4
    assert await bench.scalar("select state from job") == "running"
    heard[0] = 4
    await carrying_out
    assert (await bench.look(job))[0].state is JobState.DONE


async def test_a_job_ends_though_somebody_hears_nothing(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobrunner, "HEARD_SECONDS", 0.05)
    bench.heard_upto = lambda: 0
    job, _ = await bench.do(lines(PREFIX))
    assert job.state is JobState.DONE


async def test_a_job_is_cancelled_between_rows_and_what_is_done_stays(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.registry.chunks.MAX_CHUNK_LINES", 10)
    job = await bench.hand_in(lines(PREFIX, *(record(f"x{n}") for n in range(50))))
    advance, calls = advance_job, []

    async def cancel_and_advance(*arguments: object) -> bool:
        calls.append(arguments)
        if len(calls) == 2:
            await bench.jobs.cancel(job.id)
        return await advance(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobrun, "advance_job", cancel_and_advance)
    await bench.carry_out()
    over, results = await bench.look(job)
    assert over.state is JobState.CANCELLED
    assert [each["row"] for each in results] == list(range(1, 21))
    assert await bench.scalar("select count(*) from record") == 20
    assert not bench.files.has_upload(job.asked.file)


@pytest.mark.parametrize("kind", [JobKind.LOAD, JobKind.OPERATIONS])
@pytest.mark.parametrize(("lost_at", "done"), [(0, 0), (2, 20)])
async def test_a_job_ends_when_its_author_is_no_administrator_any_more(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch, kind: JobKind, lost_at: int, done: int
) -> None:
    monkeypatch.setattr("node.registry.chunks.MAX_CHUNK_LINES", 10)
    admins: Json = {"index": 200, "type": "HS_VLIST"}
    admins["data"] = {"format": "vlist", "value": [{"handle": "88.118.8/chief", "index": 300}]}
    await bench.do(lines(PREFIX, record("admins", admins)))
    rows = [record(f"x{n}") for n in range(50)]
    if kind is JobKind.OPERATIONS:
        rows = [row("create", f"x{n}", values=[url()]) for n in range(50)]
    chief = Caller(b"88.118.8/CHIEF", 300, "token")
    job = await bench.hand_in(lines(*rows), kind=kind, caller=chief)
    advance, calls = advance_job, []

    async def advance_and_expel(*arguments: object) -> bool:
        calls.append(arguments)
        if len(calls) == lost_at:
            await bench.scalar("delete from record where key = '88.118.8/ADMINS'")
        return await advance(*arguments)  # type: ignore[arg-type]

    if lost_at:
        monkeypatch.setattr(jobrun, "advance_job", advance_and_expel)
    else:
        await bench.scalar("delete from record where key = '88.118.8/ADMINS'")
    await bench.carry_out()

    over, results = await bench.look(job) if lost_at else (await bench.jobs.find(job.id), [])
    assert over is not None
    assert over.state is JobState.FAILED
    assert over.message.startswith("300:88.118.8/CHIEF handed it in, and may not operate")
    assert over.reached.row == len(results) == done


async def test_a_job_that_waits_is_cancelled_at_once(bench: JobBench) -> None:
    job = await bench.hand_in(lines(PREFIX))
    cancelled = await bench.jobs.cancel(job.id)
    assert cancelled is not None
    assert cancelled.state is JobState.CANCELLED
    assert not bench.files.has_upload(job.asked.file)
    assert not await bench.runner.run_next()


async def test_what_cannot_be_read_at_all_fails_the_job_with_the_reason(bench: JobBench) -> None:
    job = await bench.hand_in(b"a,b\n1,2\n", format=JobFormat.CSV)
    await bench.carry_out()
    failed = await bench.jobs.find(job.id)
    assert failed is not None
    assert (failed.state, "handle,index,type,data" in failed.message) == (JobState.FAILED, True)


async def test_a_job_that_never_comes_further_is_given_up(bench: JobBench) -> None:
    job = await bench.hand_in(lines(PREFIX))
    async with bench.database.connection() as connection:
        await connection.execute("update job set starts = $1", jobrunner.MAX_STARTS)
    await bench.carry_out()
    failed = await bench.jobs.find(job.id)
    assert failed is not None
    assert failed.state is JobState.FAILED
    assert await bench.scalar("select count(*) from record") == 0


async def test_orders_that_make_no_sense_are_refused_and_leave_no_file(bench: JobBench) -> None:
    with pytest.raises(BadOrder, match="CSV"):
        await bench.hand_in(b"", format=JobFormat.CSV, kind=JobKind.OPERATIONS)
    with pytest.raises(BadOrder, match="batch"):
        await bench.hand_in(b"", format=JobFormat.BATCH, kind=JobKind.LOAD)
    assert not list(bench.files.upload("x").parent.iterdir())


async def test_no_more_jobs_are_taken_than_may_wait(
    bench: JobBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.jobs.MAX_WAITING", 1)
    await bench.hand_in(lines(PREFIX))
    with pytest.raises(TooManyJobs):
        await bench.hand_in(lines(PREFIX))
    assert len(list(bench.files.upload("x").parent.iterdir())) == 1


async def test_the_runner_finds_jobs_by_itself_and_keeps_their_files_to_itself(
    bench: JobBench,
) -> None:
    job = await bench.hand_in(lines(PREFIX))
    task = asyncio.create_task(bench.runner.run())
    try:
        async with asyncio.timeout(20):
            while (found := await bench.jobs.find(job.id)) is None or not found.is_over:  # noqa: ASYNC110  nobody tells the test
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
    files = [path.stat().st_mode & 0o777 for path in bench.files.upload("x").parent.iterdir()]
    assert set(files) == {0o600}


async def test_what_ended_long_ago_is_forgotten_and_what_a_crash_left_behind_is_removed(
    bench: JobBench,
) -> None:
    over = await bench.hand_in(lines(PREFIX))
    await bench.carry_out()
    waits = await bench.hand_in(lines(PREFIX))
    with bench.files.receive() as lost:
        lost.write(b"x")
        lost.finish()
    directory = bench.files.upload("x").parent
    for path in directory.iterdir():
        os.utime(path, (1, 1))
    async with bench.database.connection() as connection:
        await connection.execute("update job set ended_at = now() - interval '31 days'")
    await bench.runner.prune()
    assert await bench.jobs.find(over.id) is None
    assert [path.stem for path in directory.iterdir()] == [waits.asked.file]
