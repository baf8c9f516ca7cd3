"""Endings: what is told to end, ends, though it swallows a cancellation or blocks; and leaves nothing behind."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pytest

from node import serving
from node.errors import RegistryError
from node.ledger.log import to_its_end
from node.process.child import Child, Program
from node.serving import task_group
from node.together import apart

SECONDS = 20.0


async def stubborn(swallowed: list[int], times: int) -> None:
    """Take so many cancellations for something else; nobody waits for it longer than SECONDS."""
    while True:
        try:
            return await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            swallowed.append(1)
            if len(swallowed) > times:
                raise


async def test_a_task_that_swallows_cancellations_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "AGAIN_SECONDS", 0.01)
    swallowed: list[int] = []
    async with asyncio.timeout(SECONDS), task_group() as spawn:
        spawn(stubborn(swallowed, 3))
        await asyncio.sleep(0)
    assert len(swallowed) == 4


async def test_nor_does_it_when_another_task_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "AGAIN_SECONDS", 0.01)
    swallowed: list[int] = []

    async def fail() -> None:
        raise ValueError("lost")

    async def both() -> None:
        async with task_group() as spawn:
            spawn(stubborn(swallowed, 2))
            await asyncio.sleep(0)
            spawn(fail())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failed:
        await asyncio.wait_for(both(), SECONDS)
    assert failed.group_contains(ValueError, match="lost")
    assert len(swallowed) == 3


async def test_a_task_that_puts_something_away_is_not_hurried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "AGAIN_SECONDS", SECONDS)
    put_away: list[int] = []

    async def orderly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)
            put_away.append(1)

    async with asyncio.timeout(SECONDS), task_group() as spawn:
        spawn(orderly())
        await asyncio.sleep(0)
    assert put_away == [1]


def test_who_is_cancelled_leaves_work_apart_behind() -> None:
    began, may_end, ended = Event(), Event(), Event()

    def block() -> None:
        began.set()
        may_end.wait(SECONDS)
        ended.set()

    async def leave() -> None:
        working = asyncio.create_task(apart(block))
        await asyncio.to_thread(began.wait, SECONDS)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(leave())
    assert began.is_set()
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(SECONDS)


async def test_work_apart_returns_and_raises_as_any_other() -> None:
    assert await apart(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await apart(lambda: 1 // 0)


async def test_files_that_are_being_written_are_waited_for_however_often_one_is_cancelled() -> None:
    began, may_end, ended = Event(), Event(), Event()

    def write() -> None:
        began.set()
        may_end.wait(SECONDS)
        ended.set()

    writing = asyncio.create_task(to_its_end(write))
    await asyncio.to_thread(began.wait, SECONDS)
    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0.01)
    assert not writing.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert ended.is_set()


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open so many files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for each in taken:
            os.close(each)


@pytest.mark.parametrize("left", [2, 3, 4])
async def test_a_child_that_cannot_be_started_leaves_no_descriptor_behind(
    tmp_path: Path, left: int
) -> None:
    """One pipe, and no second one; both, and no log."""
    program = Program("child", ("/bin/true",), {}, (), 1.0, log=tmp_path / "log")
    with descriptors_left(left):
        with pytest.raises(RegistryError, match="Cannot start child: Too many open files"):
            await Child(program).start()
        pairs = [os.pipe() for _ in range(left // 2)]
        for each in [end for pair in pairs for end in pair]:
            os.close(each)
