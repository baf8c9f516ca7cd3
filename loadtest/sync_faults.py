"""Faults of the sync campaign: each is done to a scene while the writers write, and undone again.

A fault returns what it did, in words, for the campaign's line.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from loadtest.relay import Fate, Weather
from loadtest.small_disk import fill, is_full
from loadtest.sync_scene import Scene
from loadtest.victims import Victim, make_whole
from resolver.keys.certificates import Authority

MID_BATCH_SECONDS = 0.03  # at most, after a batch has come
BATCH_SECONDS = 120.0  # within which there must be one
LOSS = 0.3
SLOW_MS = 3_000
FILES_SECONDS = 20.0  # after which the node has seen that its certificate was replaced
STORM_SECONDS = 3.0  # at most, between two kills
STRUCK = (Victim.KEEPER, Victim.POSTGRES, Victim.WORKER, Victim.VALKEY, Victim.SUPERVISOR)
HOUR_SECONDS = 3_600
SKEW = "idnode_sync_clock_skew_seconds"
POLL_SECONDS = 0.2
FILL_SECONDS = 0.2  # after which what was given back is taken again
OUR_DISK_FULL = "our-disk-full"  # needs a disk of its own
OLD = "old"  # the copy that the top-level node goes back to

Fault = Callable[[Scene], Awaitable[str]]


async def peer_down(scene: Scene) -> str:
    """Nobody is there: neither the top-level node nor its address."""
    scene.top.kill()
    await scene.relay.close()
    await asyncio.sleep(scene.extent.down_seconds)
    await asyncio.to_thread(scene.top.start)
    await scene.relay.start()
    return f"{scene.extent.down_seconds:.0f} s"


async def peer_killed(scene: Scene) -> str:
    """The top-level node is killed while it stores a batch."""

    async def kill() -> None:
        await asyncio.sleep(scene.dice.uniform(0, MID_BATCH_SECONDS))
        scene.top.kill()

    for _ in range(scene.extent.kills):
        await _during_batch(scene, kill)
        await asyncio.to_thread(scene.top.start)
    return f"{scene.extent.kills} kills mid-batch"


async def keeper_killed(scene: Scene) -> str:
    """The process that sends is killed while a batch is under way."""
    return await _kill_node(scene, Victim.KEEPER)


async def node_killed(scene: Scene) -> str:
    """All processes of the node are killed while a batch is under way, Postgres too."""
    return await _kill_node(scene, Victim.EVERYTHING)


async def acks_lost(scene: Scene) -> str:
    """What was stored is not acknowledged, every other time."""
    return await _weather(scene, Weather({Fate.UNANSWERED: 0.5}))


async def doubled_and_late(scene: Scene) -> str:
    """Messages come twice, late, or never; and old replies to new messages."""
    shares = {Fate.DOUBLED: 0.2, Fate.LATE: 0.15, Fate.DROPPED: 0.1}
    scene.top.fault(replaying=10)
    try:
        return await _weather(scene, Weather(dict(shares)))
    finally:
        scene.top.fault(replaying=0)


async def lossy(scene: Scene) -> str:
    """The line loses packets."""
    return f"{LOSS:.0%} of packets, {await _weather(scene, Weather(loss=LOSS))}"


async def slow(scene: Scene) -> str:
    """Each answer takes its time."""
    return await _switched(scene, slow_ms=SLOW_MS)


async def garbage(scene: Scene) -> str:
    """Every other answer is garbage."""
    return await _switched(scene, wrong=50)


async def clock_off(scene: Scene) -> str:
    """The clocks differ by an hour, so that nothing that is signed is believed."""
    return await _switched(scene, _noticed, from_the_past=True)


async def disk_full(scene: Scene) -> str:
    """The top-level node can store nothing."""
    return await _switched(scene, _noticed, disk_full=True)


async def our_clock_off(scene: Scene) -> str:
    """Our clock is set an hour back, then an hour ahead: the node says so, by how much, and sends when it is right."""
    for seconds in (-HOUR_SECONDS, HOUR_SECONDS):
        scene.clock.move(seconds)
        await _noticed(scene)
        status = await asyncio.to_thread(scene.status)
        skew, metric = status.get("clock_skew_seconds"), await asyncio.to_thread(scene.metric, SKEW)
        if not all(
            isinstance(each, float) and abs(each + seconds) < HOUR_SECONDS / 60
            for each in (skew, metric)
        ):
            raise NoEffect(f"the skew is told as {skew}, and shown as {metric}: {status}")
        if "clock" not in str(status["reason"]):
            raise NoEffect(f"the reason is not told: {status}")
        scene.clock.move(0)
        await _until_sending(scene)
    return "an hour back, an hour ahead, each told"


async def our_disk_full(scene: Scene) -> str:
    """Our data directory has no room left: nothing can be written, and then it can."""
    data = scene.running.node.settings.data_dir
    filler, until = data / "filler", time.monotonic() + scene.extent.seconds
    try:
        while time.monotonic() < until:
            await asyncio.to_thread(fill, filler)
            await asyncio.sleep(FILL_SECONDS)
        if not is_full(data):
            raise NoEffect("the disk was not full")
    finally:
        filler.unlink()
    await make_whole(scene.running, Victim.POSTGRES, [])
    return f"{scene.extent.seconds:.0f} s"


async def expired(scene: Scene) -> str:
    """The peer's certificate has ended; then (unless the campaign is a small one) ours."""
    scene.relay.expire(is_expired=True)
    await _noticed(scene)
    scene.relay.expire(is_expired=False)
    if scene.extent.is_small:
        return "theirs"
    ours = scene.top.issue / "node.pem"
    kept = ours.with_suffix(".kept")
    shutil.copy2(ours, kept)
    authority = Authority.load_or_make(scene.top.directory, datetime.now(UTC))
    ours.write_bytes(authority.issue_client("88.118", datetime.now(UTC), -1))
    await asyncio.sleep(FILES_SECONDS)
    await _noticed(scene)
    kept.replace(ours)
    return "theirs, then ours"


async def peer_restored(scene: Scene) -> str:
    """The top-level node goes back to an old copy, twice; then (unless the campaign is a small one) to nothing."""
    for _ in range(2):
        await asyncio.sleep(scene.extent.seconds / 2)
        await asyncio.to_thread(scene.top.post, "/restore", name=OLD)
    await asyncio.sleep(scene.extent.seconds / 2)
    if scene.extent.is_small:
        return "twice"
    await asyncio.to_thread(scene.top.post, "/restore", name="start")
    scene.diary_from = None  # which is gone as well
    return "twice, and once to nothing"


async def node_restored(scene: Scene) -> str:
    """The node goes back to an old copy, with serials that the peer has seen already, or under way (`snapshot`)."""
    await scene.rest()
    copy = await scene.back_up()
    told = scene.told()
    scene.write()
    await asyncio.sleep(scene.extent.seconds)
    await scene.rest()
    await scene.until_in_step()
    scene.diary_from = None  # the walk puts rows anew
    await scene.restore(copy)
    scene.forget(told)
    await scene.until_in_step()
    if scene.extent.is_small:
        scene.write()
        await asyncio.sleep(scene.extent.seconds)
        return "noticed by its serial"
    scene.write()
    await asyncio.sleep(scene.extent.seconds)
    await scene.rest()
    await scene.restore(copy)
    scene.forget(told)
    scene.write()
    await asyncio.to_thread(scene.status, "/v1/sync/snapshot", "POST")
    await asyncio.sleep(scene.extent.seconds)
    return "noticed by its serial; then with a new session"


async def walk_killed(scene: Scene) -> str:
    """The top-level node has nothing any more, and is killed, or the sender is, while it is brought all rows."""
    scene.diary_from = None  # which is gone as well

    async def kill() -> None:
        await asyncio.sleep(scene.dice.uniform(0, MID_BATCH_SECONDS))
        scene.top.kill()

    for number in range(scene.extent.kills):
        await asyncio.to_thread(scene.top.post, "/restore", name="start")
        if number % 2:
            await _during_batch(scene, kill)
            await asyncio.to_thread(scene.top.start)
        else:
            await _during_batch(scene, lambda: scene.kill(Victim.KEEPER))
            await scene.mend()
    return f"{scene.extent.kills} kills in a snapshot"


async def storm(scene: Scene) -> str:
    """All at once: messages and packets are lost, and anybody is killed."""
    shares = {Fate.DOUBLED: 0.1, Fate.LATE: 0.05, Fate.DROPPED: 0.05, Fate.UNANSWERED: 0.1}
    scene.relay.weather = Weather(dict(shares), LOSS / 3)
    for _ in range(scene.extent.kills):
        await asyncio.sleep(scene.dice.uniform(0, STORM_SECONDS))
        victim = scene.dice.choice((*STRUCK, None))
        if victim is None:
            scene.top.kill()
            await asyncio.to_thread(scene.top.start)
        else:
            await scene.kill(victim)
            await scene.mend()
    scene.relay.weather = Weather()
    return f"{scene.extent.kills} kills"


FAULTS: Final[dict[str, Fault]] = {
    "peer-down": peer_down,
    "peer-killed": peer_killed,
    "keeper-killed": keeper_killed,
    "node-killed": node_killed,
    "acks-lost": acks_lost,
    "doubled-and-late": doubled_and_late,
    "lossy": lossy,
    "slow": slow,
    "garbage": garbage,
    "clock-off": clock_off,
    "disk-full": disk_full,
    "our-clock-off": our_clock_off,
    OUR_DISK_FULL: our_disk_full,
    "expired": expired,
    "peer-restored": peer_restored,
    "node-restored": node_restored,
    "walk-killed": walk_killed,
    "storm": storm,
}


class NoEffect(Exception):
    """A fault that was to hold everything up did not."""


async def _kill_node(scene: Scene, victim: Victim) -> str:
    """Kill mid-batch; every other time the reply comes meanwhile, or does not."""
    for number in range(scene.extent.kills):
        if number % 2:
            await _during_batch(scene, lambda: scene.kill(victim))
        else:
            await _during_batch(scene, _nothing)
            await asyncio.sleep(scene.dice.uniform(0, MID_BATCH_SECONDS))
            await scene.kill(victim)
        await scene.mend()
    return f"{scene.extent.kills} kills mid-batch"


async def _nothing() -> None:
    """The batch has come; that is all."""


async def _during_batch(scene: Scene, work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(BATCH_SECONDS):
        await scene.relay.during_batch(work)


async def _weather(scene: Scene, weather: Weather) -> str:
    before = dict(scene.relay.met)
    scene.relay.weather = weather
    await _pause(scene)
    scene.relay.weather = Weather()
    met = {fate: count - before[fate] for fate, count in scene.relay.met.items()}
    return ", ".join(f"{count} {fate}" for fate, count in met.items() if count)


async def _switched(
    scene: Scene, wait: Callable[[Scene], Awaitable[None]] | None = None, **given: object
) -> str:
    await asyncio.to_thread(scene.top.fault, **given)
    await (wait or _pause)(scene)
    undone = {name: type(value)() for name, value in given.items()}
    await asyncio.to_thread(scene.top.fault, **undone)
    return ", ".join(f"{name} {value}" for name, value in given.items())


async def _noticed(scene: Scene) -> None:
    """Wait, and see that the node has noticed that something is wrong.  Raises NoEffect."""
    await _pause(scene)
    status = await asyncio.to_thread(scene.status)
    if not status["failures"]:
        raise NoEffect(f"the node noticed nothing: {status}")


async def _until_sending(scene: Scene) -> None:
    """Wait until the node says that all goes well.  Raises TimeoutError."""
    async with asyncio.timeout(BATCH_SECONDS):
        while (await asyncio.to_thread(scene.status))["state"] != "sending":  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(POLL_SECONDS)


async def _pause(scene: Scene) -> None:
    await asyncio.sleep(scene.extent.seconds)
