"""What is kept of proofs for half a second: keyed digests, until their record changes, and never what is wrong."""

from collections.abc import Sequence

import pytest

from resolver.authentication import AuthenticationFailed, Authenticator, Token, token_digest
from resolver.lately import HELD_SECONDS, KEY_BYTES, Lately
from resolver.observe import CELL_COUNT, Tally
from resolver.registrar import Caller
from resolver.tries import WRONG_TRIES
from resolver.wire import HandleValue
from tests.support.identities import Gate

RECORD = b"88.1/ADMIN"
ORIGIN = "http 192.0.2.7"
SECRET = b"a secret"
CALLER = Caller(RECORD, 300, "basic")
KEY = bytes(KEY_BYTES)


class CountingGate(Gate):
    """A gate whose authenticator remembers; it counts what the stores are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lately = Lately(KEY)
        self.asked = 0
        self.tally = Tally([0] * CELL_COUNT)
        self.authenticator = Authenticator(self, self, self.tally, self.clock, lately=self.lately)
        self.identities.values[RECORD] = (HandleValue(300, b"HS_SECKEY", SECRET),)

    async def keys(self, handle: bytes) -> Sequence[HandleValue] | None:
        """See KeyStore."""
        self.asked += 1
        return await self.identities.keys(handle)

    async def find_token(self, digest: bytes) -> Token | None:
        """See TokenStore."""
        self.asked += 1
        return await self.identities.find_token(digest)

    async def log_in(self, secret: bytes = SECRET) -> Caller:
        """Prove the administrator by its password."""
        return await self.authenticator.password(RECORD, 300, secret, ORIGIN)


@pytest.fixture
def gate() -> CountingGate:
    return CountingGate()


def kept(lately: Lately, number: int = 0, now: float = 0.0) -> bytes:
    mark = lately.mark(b"%d" % number)
    lately.keep(lately.begin(mark, RECORD, now), CALLER)
    return mark


async def test_password_is_looked_up_once_in_half_a_second(gate: CountingGate) -> None:
    first, second = await gate.log_in(), await gate.log_in()
    asked_at_once = gate.asked
    gate.clock.now += HELD_SECONDS + 0.01
    third = await gate.log_in()

    assert first == second == third == CALLER
    assert (asked_at_once, gate.asked) == (1, 2)


async def test_changed_key_counts_at_once_where_the_change_is_known(gate: CountingGate) -> None:
    await gate.log_in()
    gate.identities.values[RECORD] = (HandleValue(300, b"HS_SECKEY", b"another"),)
    gate.lately.forget([RECORD])

    with pytest.raises(AuthenticationFailed):
        await gate.log_in()


async def test_revoked_token_counts_for_half_a_second_at_most(gate: CountingGate) -> None:
    text = "idnt_" + "x" * 43
    digest = token_digest(text)
    gate.identities.tokens[digest] = Token(RECORD, 300)
    await gate.authenticator.token(text, ORIGIN)
    del gate.identities.tokens[digest]
    caller = await gate.authenticator.token(text, ORIGIN)
    gate.clock.now += HELD_SECONDS + 0.01

    assert caller == Caller(RECORD, 300, "token")
    with pytest.raises(AuthenticationFailed):
        await gate.authenticator.token(text, ORIGIN)


async def test_wrong_password_is_never_kept(gate: CountingGate) -> None:
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            await gate.log_in(b"wrong")

    assert (gate.asked, len(gate.lately)) == (2, 0)


async def test_right_password_is_refused_after_many_wrong_ones_though_it_was_kept(
    gate: CountingGate,
) -> None:
    await gate.log_in()
    for _ in range(WRONG_TRIES):
        with pytest.raises(AuthenticationFailed):
            await gate.log_in(b"wrong")

    with pytest.raises(AuthenticationFailed) as refused:
        await gate.log_in()
    assert refused.value.retry_after


def test_nothing_of_a_secret_is_kept_but_a_keyed_digest() -> None:
    lately, other = Lately(KEY), Lately(b"k" * KEY_BYTES)

    assert SECRET not in lately.mark(SECRET)
    assert lately.mark(SECRET) != other.mark(SECRET)
    assert lately.mark(b"ab", b"c") != lately.mark(b"a", b"bc")


def test_proof_that_was_under_way_when_its_record_changed_is_not_kept() -> None:
    lately = Lately(KEY)
    mark = lately.mark(SECRET)
    held = lately.begin(mark, RECORD, 0.0)

    lately.forget([RECORD])
    lately.keep(held, CALLER)

    assert lately.find(mark, 0.0) is None


def test_proof_counts_from_when_the_database_was_asked() -> None:
    lately = Lately(KEY)
    mark = lately.mark(SECRET)
    held = lately.begin(mark, RECORD, 10.0)
    assert lately.find(mark, 10.0) is None  # under way

    lately.keep(held, CALLER)

    assert lately.find(mark, 10.0 + HELD_SECONDS) is held
    assert lately.find(mark, 10.01 + HELD_SECONDS) is None


def test_changes_of_other_records_change_nothing() -> None:
    lately = Lately(KEY)
    mark = kept(lately)

    lately.forget([b"88.1/other"])
    assert lately.find(mark, 0.0)
    lately.clear()
    assert lately.find(mark, 0.0) is None


def test_so_many_are_kept_and_the_oldest_go() -> None:
    lately = Lately(KEY, max_held=3)
    marks = [kept(lately, number) for number in range(5)]

    assert [lately.find(mark, 0.0) is not None for mark in marks] == [
        False,
        False,
        True,
        True,
        True,
    ]
    lately.forget([RECORD])
    assert len(lately) == 0
