"""What is ours, delegated or elsewhere, which values are chosen, and who may see them (spec, resolution rules §7)."""

import pytest

from resolver.answer import Answer, Question, Status, Stored, Tier
from resolver.identifier import IdentifierError, Scheme
from resolver.service import BUSY, NOT_HERE, Resolver, select
from resolver.source import NEWEST, SourceUnavailable, Whole
from resolver.wire import HandleValue, decode_values, encode_site
from tests.support.memory import MemoryStore
from tests.support.web import SITE

URL = HandleValue(1, b"URL", b"https://example.org/1")
MIRROR = HandleValue(3, b"URL.MIRROR", b"https://example.org/3")
TITLE = HandleValue(5, "标题".encode(), "工业互联网".encode())
EMAIL = HandleValue(2, b"EMAIL", b"a@example.org", permissions=0b1100)  # administrators only
SEALED = HandleValue(4, b"PRICE", b"9", permissions=0b0100)  # nobody reads it
SITE_VALUE = HandleValue(1, b"HS_SITE", b"site of the enterprise")
ADMIN = HandleValue(100, b"HS_ADMIN", b"admin")
BELOW = HandleValue(7, b"HS_SITE.PREFIX", b"where derived prefixes are")
BELOW_SERVICE = HandleValue(8, b"HS_SERV.PREFIX", b"0.SERV/x")


class Store(MemoryStore):
    """Remembers which answers had to be the newest."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: list[bytes] = []

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        if at_least == NEWEST:
            self.newest.append(key)
        return await super().lookup(key, at_least=at_least)


@pytest.fixture
def store() -> Store:
    made = Store()
    made.put("0.NA/88.118", [ADMIN])
    made.put("88.118/x", [URL, MIRROR, TITLE, ADMIN])
    made.put("88.118/Mixed", [URL, EMAIL, ADMIN])
    made.put("88.118/sealed", [URL, SEALED])
    made.put("88.118/empty", [])
    return made


def service(store: MemoryStore, *, case_sensitive: bool = False) -> Resolver:
    return Resolver(store, store, store, SITE, case_sensitive=case_sensitive)


async def ask(
    store: MemoryStore,
    handle: str,
    *,
    types: tuple[bytes, ...] = (),
    indexes: tuple[int, ...] = (),
    public_only: bool = True,
    authoritative: bool = False,
) -> Answer:
    resolver_of = service(store)
    identifier = resolver_of.identify(handle.encode())
    return await resolver_of.resolve(
        Question(identifier, types, indexes, public_only, authoritative)
    )


def values(answer: Answer) -> tuple[HandleValue, ...]:
    if answer.values is not None:
        return answer.values
    assert answer.stored is not None
    return decode_values(answer.stored.wire)


class TestOurs:
    async def test_a_record_below_a_homed_prefix_is_found(self, store: Store) -> None:
        answer = await ask(store, "88.118/x")

        assert (answer.status, answer.tier) == (Status.FOUND, Tier.POSTGRES)
        assert answer.values is None  # the encoded bytes serve as they are
        assert values(answer) == (URL, MIRROR, TITLE, ADMIN)

    async def test_case_of_ascii_does_not_matter(self, store: Store) -> None:
        assert values(await ask(store, "88.118/MIXED")) == (URL, ADMIN)

    async def test_case_of_the_suffix_matters_where_it_is_set_so(self, store: Store) -> None:
        exact = service(store, case_sensitive=True)

        assert exact.identify(b"88.118/Mixed").key != exact.identify(b"88.118/MIXED").key

    async def test_no_such_record_is_an_outcome(self, store: Store) -> None:
        answer = await ask(store, "88.118/none")

        assert (answer.status, answer.tier) == (Status.NO_SUCH_HANDLE, Tier.POSTGRES)

    async def test_an_empty_record_has_no_values(self, store: Store) -> None:
        assert (await ask(store, "88.118/empty")).status is Status.NO_SUCH_VALUE

    async def test_a_prefix_is_its_whole_name(self, store: Store) -> None:
        for handle in ("88.1188/x", "88.11/x", "88/x"):
            answer = await ask(store, handle)
            assert (answer.status, answer.message) == (Status.NOT_RESPONSIBLE, NOT_HERE)

    async def test_a_derived_prefix_is_not_homed_with_the_one_above_it(self, store: Store) -> None:
        assert (await ask(store, "88.118.8/x")).status is Status.NOT_RESPONSIBLE

    async def test_a_doi_is_a_handle(self, store: Store) -> None:
        store.put("0.NA/10.1234", [])
        store.put("10.1234/Abc", [URL])

        answer = await ask(store, "10.1234/aBC")

        assert values(answer) == (URL,)
        assert service(store).detect("doi:10.1234/ABC", Scheme.DOI).key == b"10.1234/ABC"

    async def test_other_schemes_belong_to_the_nearest_namespace_that_is_known(
        self, store: Store
    ) -> None:
        store.put("0.NA/OID:1.2.156", [])
        store.put("oid:1.2.156.7.8", [URL])
        store.put("0.NA/OID:1.2.156.9", [SITE_VALUE])
        store.homed.discard(b"OID:1.2.156.9")
        store.delegated.add(b"OID:1.2.156.9")

        assert values(await ask(store, "oid:1.2.156.7.8")) == (URL,)
        assert (await ask(store, "oid:1.2.156.9.1")).status is Status.SERVICE_REFERRAL
        assert (await ask(store, "oid:1.2.157.1")).status is Status.NOT_RESPONSIBLE

    async def test_what_is_no_identifier_is_refused_before(self, store: Store) -> None:
        for text in (b"", b"/x", b"x/", b"\xff\xfe/x"):
            with pytest.raises(IdentifierError):
                service(store).identify(text)


class TestPrefixNames:
    @pytest.mark.parametrize("name", ["0.NA/88.118", "88.118", "0.na/88.118"])
    async def test_name_with_and_without_zero_na_is_one(self, store: Store, name: str) -> None:
        answer = await ask(store, name)

        assert answer.status is Status.FOUND
        assert ADMIN in values(answer)

    async def test_a_homed_prefix_without_a_site_leads_here(self, store: Store) -> None:
        answer = await ask(store, "88.118", types=(b"HS_SITE",))

        assert values(answer) == (HandleValue(1, b"HS_SITE", encode_site(SITE)),)

    async def test_the_own_site_stands_behind_the_values_at_a_free_index(
        self, store: Store
    ) -> None:
        store.put("0.NA/88.118", [URL, MIRROR])

        found = values(await ask(store, "88.118"))

        assert found == (URL, MIRROR, HandleValue(2, b"HS_SITE", encode_site(SITE)))

    @pytest.mark.parametrize("kind", [b"HS_SITE", b"hs_site", b"HS_SITE.6"])
    async def test_a_site_of_its_own_is_given_and_no_other(self, store: Store, kind: bytes) -> None:
        own = HandleValue(1, kind, b"site")
        store.put("0.NA/88.118", [own])

        assert values(await ask(store, "88.118")) == (own,)
        assert values(await ask(store, "88.118", types=(kind,))) == (own,)

    async def test_the_own_site_is_not_in_answers_that_did_not_ask_for_it(
        self, store: Store
    ) -> None:
        answer = await ask(store, "88.118", types=(b"HS_ADMIN",))

        assert values(answer) == (ADMIN,)
        assert (await ask(store, "88.118", types=(b"URL",))).status is Status.NO_SUCH_VALUE

    async def test_a_delegated_prefix_shows_its_record_as_it_is(self, store: Store) -> None:
        delegate(store, "88.118.77", [SITE_VALUE, ADMIN])

        assert values(await ask(store, "0.NA/88.118.77")) == (SITE_VALUE, ADMIN)
        assert values(await ask(store, "88.118.77", types=(b"HS_SITE",))) == (SITE_VALUE,)

    async def test_unknown_below_a_homed_prefix_does_not_exist(self, store: Store) -> None:
        assert (await ask(store, "88.118.9")).status is Status.NO_SUCH_HANDLE

    @pytest.mark.parametrize("name", ["99", "0", "88", "999.999"])
    async def test_unknown_elsewhere_is_not_here(self, store: Store, name: str) -> None:
        assert (await ask(store, name)).status is Status.NOT_RESPONSIBLE


def delegate(store: MemoryStore, prefix: str, values_of: list[HandleValue]) -> None:
    store.put(f"0.NA/{prefix}", values_of)
    store.homed.discard(prefix.encode())
    store.delegated.add(prefix.encode())


class TestReferrals:
    async def test_below_a_delegated_prefix_the_service_is_named(self, store: Store) -> None:
        site6 = HandleValue(2, b"HS_SITE.6", b"its IPv6 site")
        delegate(store, "88.118.77", [SITE_VALUE, site6, ADMIN, URL])

        answer = await ask(store, "88.118.77/thing")

        assert (answer.status, answer.referral) == (Status.SERVICE_REFERRAL, b"0.NA/88.118.77")
        assert answer.values == (SITE_VALUE, site6)

    async def test_a_referral_names_the_prefix_as_it_was_registered(self, store: Store) -> None:
        store.put("0.NA/88.aB", [SITE_VALUE])
        store.homed.discard(b"88.AB")
        store.delegated.add(b"88.AB")

        assert (await ask(store, "88.AB/x")).referral == b"0.NA/88.aB"

    async def test_a_delegated_prefix_without_a_record_is_still_a_referral(
        self, store: Store
    ) -> None:
        store.delegated.add(b"88.5")

        answer = await ask(store, "88.5/x")

        assert (answer.status, answer.referral, answer.values) == (
            Status.SERVICE_REFERRAL, b"0.NA/88.5", (),
        )  # fmt: skip

    @pytest.mark.parametrize("value", [BELOW, BELOW_SERVICE])
    @pytest.mark.parametrize(
        "handle", ["88.118.8/x", "88.118.8.9/x", "0.NA/88.118.8", "88.118.8.9"]
    )
    async def test_below_a_prefix_that_says_where_derived_ones_are_it_says_so(
        self, store: Store, value: HandleValue, handle: str
    ) -> None:
        store.put("0.NA/88.118", [ADMIN, value])

        answer = await ask(store, handle)

        assert (answer.status, answer.referral) == (Status.PREFIX_REFERRAL, b"")
        assert answer.values == (value,)

    async def test_and_nowhere_else(self, store: Store) -> None:
        store.put("0.NA/88.118", [ADMIN, BELOW])

        assert (await ask(store, "88.118/none")).status is Status.NO_SUCH_HANDLE
        assert (await ask(store, "88.119.1/x")).status is Status.NOT_RESPONSIBLE
        assert (await ask(store, "88.118")).status is Status.FOUND

    async def test_the_nearest_prefix_that_says_it_counts(self, store: Store) -> None:
        store.put("0.NA/88.118", [BELOW])
        store.put("0.NA/88.118.8", [BELOW_SERVICE])

        assert (await ask(store, "88.118.8.1/x")).values == (BELOW_SERVICE,)


class TestChoice:
    @pytest.mark.parametrize(
        ("types", "indexes", "chosen"),
        [
            ((), (), (URL, MIRROR, TITLE, ADMIN)),
            ((b"URL",), (), (URL,)),
            ((b"url",), (), (URL,)),
            ((b"URL.",), (), (URL, MIRROR)),
            ((b"url.mirror",), (), (MIRROR,)),
            ((b"URL.MIRROR.",), (), (MIRROR,)),
            ((b"UR.",), (), ()),
            (("标题".encode(),), (), (TITLE,)),
            ((), (5,), (TITLE,)),
            ((), (100, 1), (URL, ADMIN)),
            ((b"URL",), (5,), (URL, TITLE)),
            ((b"URL",), (1,), (URL,)),
            ((b"NONE", b"URL"), (99,), (URL,)),
            ((b"",), (), ()),
            ((b".",), (), ()),
            ((), (0,), ()),
        ],
    )
    async def test_types_and_indexes_form_a_union_in_stored_order(
        self,
        store: Store,
        types: tuple[bytes, ...],
        indexes: tuple[int, ...],
        chosen: tuple[HandleValue, ...],
    ) -> None:
        answer = await ask(store, "88.118/x", types=types, indexes=indexes)

        assert values(answer) == chosen
        assert answer.status is (Status.FOUND if chosen else Status.NO_SUCH_VALUE)

    async def test_an_alias_is_given_and_not_followed(self, store: Store) -> None:
        alias = HandleValue(1, b"HS_ALIAS", b"88.118/x")
        store.put("88.118/alias", [alias])

        assert values(await ask(store, "88.118/alias")) == (alias,)

    def test_nothing_is_chosen_from_nothing(self, store: Store) -> None:
        identifier = service(store).identify(b"88.118/x")

        assert select((), Question(identifier, types=(b"URL",))) == ()


class TestSecrecy:
    async def test_public_questions_leave_hidden_values_out_silently(self, store: Store) -> None:
        assert values(await ask(store, "88.118/mixed")) == (URL, ADMIN)
        answer = await ask(store, "88.118/mixed", types=(b"EMAIL",))
        assert answer.status is Status.NO_SUCH_VALUE

    async def test_other_questions_need_a_login_when_a_hidden_value_matches(
        self, store: Store
    ) -> None:
        for types in ((), (b"EMAIL",), (b"EMAIL", b"URL")):
            answer = await ask(store, "88.118/mixed", types=types, public_only=False)
            assert answer.status is Status.AUTHENTICATION_NEEDED
            assert answer.values is None
            assert answer.stored is None

    async def test_and_are_answered_when_none_does(self, store: Store) -> None:
        answer = await ask(store, "88.118/mixed", types=(b"URL",), public_only=False)

        assert (answer.status, answer.values) == (Status.FOUND, (URL,))
        missing = await ask(store, "88.118/mixed", types=(b"NONE",), public_only=False)
        assert missing.status is Status.NO_SUCH_VALUE

    async def test_what_no_administrator_may_read_is_not_permitted(self, store: Store) -> None:
        answer = await ask(store, "88.118/sealed", public_only=False)

        assert (answer.status, answer.stored) == (Status.NOT_PERMITTED, None)

    async def test_records_without_hidden_values_are_answered_to_all(self, store: Store) -> None:
        answer = await ask(store, "88.118/x", public_only=False)

        assert (answer.status, answer.values) == (Status.FOUND, None)

    async def test_a_prefix_with_hidden_values_is_refused_as_any_record(self, store: Store) -> None:
        store.put("0.NA/88.118", [EMAIL, ADMIN])

        answer = await ask(store, "88.118", public_only=False)
        assert answer.status is Status.AUTHENTICATION_NEEDED
        answer = await ask(store, "88.118", types=(b"HS_SITE",), public_only=False)
        assert [value.type for value in values(answer)] == [b"HS_SITE"]


class TestTrouble:
    @pytest.mark.parametrize(
        "handle", ["88.118/x", "88.118", "88.5/x", "88.118.8/x", "0.NA/88.118.8"]
    )
    async def test_a_source_that_is_away_makes_us_busy(self, store: Store, handle: str) -> None:
        store.delegated.add(b"88.5")
        store.is_down = True

        answer = await ask(store, handle)

        assert (answer.status, answer.message) == (Status.UNAVAILABLE, BUSY)

    async def test_what_needs_no_record_is_answered_all_the_same(self, store: Store) -> None:
        store.is_down = True

        assert (await ask(store, "999.999/x")).status is Status.NOT_RESPONSIBLE

    async def test_a_vault_that_is_away_makes_us_busy(self, store: Store) -> None:
        class Shut(Store):
            async def values(self, key: bytes) -> Whole:
                raise SourceUnavailable

        shut = Shut()
        shut.put("0.NA/88.118", [])
        shut.put("88.118/mixed", [URL, EMAIL])

        answer = await ask(shut, "88.118/mixed", public_only=False)
        assert answer.status is Status.UNAVAILABLE
        assert (await ask(shut, "88.118/mixed")).status is Status.FOUND

    async def test_authoritative_questions_ask_for_the_newest(self, store: Store) -> None:
        delegate(store, "88.118.77", [SITE_VALUE])
        for handle in ("88.118/x", "88.118", "88.118.77/x"):
            await ask(store, handle, authoritative=True)

        assert store.newest == [b"88.118/X", b"0.NA/88.118", b"0.NA/88.118.77"]
