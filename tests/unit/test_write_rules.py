"""Each right, granted and denied; each check, in its order."""

from dataclasses import replace

import pytest

from node.registry.facts import Facts, RecordState, Values
from node.registry.rules import Plan, decide
from node.store.prefixes import PrefixState
from resolver.access import MAX_REFERENCES, Missing
from resolver.registrar import MUST_EXIST, Caller, Operation, Scope, Verdict, Write
from resolver.wire import (
    MAX_VALUES,
    AdminPermission,
    HandleValue,
    Reference,
    ResponseCode,
    encode_vlist,
)
from tests.support.registry import ADMIN, ALL, OTHER, ROOT, admin, canonical, named, url

CREATE, ADD, MODIFY = Operation.CREATE, Operation.ADD, Operation.MODIFY
REMOVE, DELETE = Operation.REMOVE, Operation.DELETE
NAME = named("88.1/x")
KEY = NAME.key
PREFIX = b"0.NA/88.1"
NOW = 1_800_000_000
SECOND_ADMIN = admin(Reference(b"88.1/THIRD", 300), 0, 101)


def state(*values: HandleValue, version: int = 1) -> RecordState:
    return RecordState(version, False, b"88.1/x", values)


def facts(
    *values: HandleValue,
    there: bool = True,
    prefix: Values = (),
    others: dict[bytes, RecordState | None] | None = None,
) -> Facts:
    """The record has these values, its prefix record has `prefix`; nobody else's record is there."""
    records: dict[bytes, RecordState | None] = {
        KEY: state(*values) if there else None,
        PREFIX: state(*prefix),
        b"88.1/ADMIN": None,
        b"88.1/OTHER": None,
        b"88.1/THIRD": None,
        **(others or {}),
    }
    return Facts(records, {b"88.1": PrefixState.HOMED}, NOW, (), canonical)


def write(
    operation: Operation,
    *values: HandleValue,
    caller: Caller | None = ADMIN,
    indexes: tuple[int, ...] = (),
    overwrite: bool = False,
    if_version: int | None = None,
) -> Write:
    return Write(
        operation=operation,
        identifier=NAME,
        values=values,
        indexes=indexes,
        caller=caller,
        overwrite=overwrite,
        if_version=if_version,
    )


def code(given: Write, known: Facts) -> ResponseCode:
    found = decide(given, known)
    assert not isinstance(found, Missing)
    return found.verdict.code if isinstance(found, Plan) else found.code


RIGHTS: dict[str, tuple[Write, AdminPermission]] = {
    "add a value": (write(ADD, url(2)), AdminPermission.ADD_VALUE),
    "add an administrator": (write(ADD, SECOND_ADMIN), AdminPermission.ADD_ADMIN),
    "modify a value": (write(MODIFY, url(1, b"new")), AdminPermission.MODIFY_VALUE),
    "replace a value by index": (
        write(ADD, url(1, b"new"), overwrite=True),
        AdminPermission.MODIFY_VALUE,
    ),
    "modify an administrator": (
        write(MODIFY, admin(OTHER, ALL, 100)),
        AdminPermission.MODIFY_ADMIN,
    ),
    "remove a value": (write(REMOVE, indexes=(1,)), AdminPermission.REMOVE_VALUE),
    "remove an administrator": (write(REMOVE, indexes=(100,)), AdminPermission.REMOVE_ADMIN),
    "turn a value into an administrator": (
        write(MODIFY, admin(OTHER, ALL, 1)),
        AdminPermission.REMOVE_VALUE | AdminPermission.ADD_ADMIN,
    ),
    "turn an administrator into a value": (
        write(MODIFY, url(100)),
        AdminPermission.REMOVE_ADMIN | AdminPermission.ADD_VALUE,
    ),
    "delete the record": (write(DELETE), AdminPermission.DELETE_HANDLE),
}


@pytest.mark.parametrize("there", [True, False])
def test_versions_of_a_record_are_told_to_none_but_its_administrators(there: bool) -> None:
    some, every = admin(ADMIN, AdminPermission.AUTHORIZED_READ), admin(ADMIN, ALL)
    known = facts(url(), some, there=there, prefix=(every,))
    asked = replace(write(Operation.REVERT), to_version=7)
    strange = replace(asked, caller=OTHER)

    assert code(asked, known) is ResponseCode.VALUES_NOT_FOUND
    assert code(strange, known) is ResponseCode.NOT_ADMINISTRATOR
    assert code(strange, replace(known, to_values=())) is ResponseCode.NOT_ADMINISTRATOR
    assert code(replace(asked, caller=None), known) is ResponseCode.AUTHENTICATION_NEEDED


@pytest.mark.parametrize("given", RIGHTS)
def test_the_rights_that_are_needed_are_enough(given: str) -> None:
    asked, needed = RIGHTS[given]
    assert code(asked, facts(url(), admin(ADMIN, needed))) is ResponseCode.SUCCESS


@pytest.mark.parametrize("given", RIGHTS)
def test_all_other_rights_are_not(given: str) -> None:
    asked, needed = RIGHTS[given]
    for right in AdminPermission:
        if right & needed:
            known = facts(url(), admin(ADMIN, ALL & ~right))
            assert code(asked, known) is ResponseCode.NOT_ADMINISTRATOR


@pytest.mark.parametrize("given", RIGHTS)
def test_nobody_else_has_them(given: str) -> None:
    asked, _ = RIGHTS[given]
    known = facts(url(), admin(ADMIN))
    wrong_index = Caller(ADMIN.handle, 301, "basic")
    for caller in (OTHER, wrong_index):
        refused = code(replace(asked, caller=caller), known)
        assert refused is ResponseCode.NOT_ADMINISTRATOR


@pytest.mark.parametrize("given", RIGHTS)
def test_nobody_is_asked_who_it_is(given: str) -> None:
    asked, _ = RIGHTS[given]
    refused = code(replace(asked, caller=None), facts(url(), admin(ADMIN)))
    assert refused is ResponseCode.AUTHENTICATION_NEEDED


class TestWhoIsNamed:
    def test_index_0_means_any_key_of_the_handle(self) -> None:
        known = facts(url(), admin(ADMIN, at=0))
        assert code(write(DELETE, caller=Caller(ADMIN.handle, 7, "basic")), known) == 1

    def test_rights_of_several_values_add_up(self) -> None:
        one = admin(ADMIN, AdminPermission.REMOVE_VALUE)
        other = admin(ADMIN, AdminPermission.ADD_ADMIN, 101)
        asked = write(MODIFY, admin(OTHER, ALL, 1))
        assert code(asked, facts(url(), one, other)) is ResponseCode.SUCCESS
        assert code(asked, facts(url(), one)) is ResponseCode.NOT_ADMINISTRATOR

    def test_a_group_that_was_not_read_is_asked_for(self) -> None:
        known = facts(url(), admin(Reference(b"88.1/team", 2)))
        assert decide(write(DELETE), known) == Missing(frozenset({b"88.1/TEAM"}))

    @pytest.mark.parametrize(("index", "right"), [(2, True), (0, True), (3, False)])
    def test_a_group_counts_at_its_index(self, index: int, *, right: bool) -> None:
        team = HandleValue(2, b"HS_VLIST", encode_vlist([Reference(ADMIN.handle, 300)]))
        known = facts(
            url(), admin(Reference(b"88.1/team", index)), others={b"88.1/TEAM": state(team)}
        )
        expected = ResponseCode.SUCCESS if right else ResponseCode.NOT_ADMINISTRATOR
        assert code(write(DELETE), known) is expected

    def test_a_value_of_another_type_is_no_group(self) -> None:
        team = HandleValue(2, b"URL", encode_vlist([Reference(ADMIN.handle, 300)]))
        known = facts(url(), admin(Reference(b"88.1/team", 2)), others={b"88.1/TEAM": state(team)})
        assert code(write(DELETE), known) is ResponseCode.NOT_ADMINISTRATOR

    def test_a_group_is_followed_so_far_and_no_farther(self) -> None:
        crowd = [Reference(b"88.1/OTHER", n) for n in range(1, MAX_REFERENCES + 10)]
        team = HandleValue(2, b"HS_VLIST", encode_vlist([*crowd, Reference(ADMIN.handle, 300)]))
        known = facts(url(), admin(Reference(b"88.1/team", 2)), others={b"88.1/TEAM": state(team)})
        assert code(write(DELETE), known) is ResponseCode.NOT_ADMINISTRATOR

    def test_what_cannot_be_read_gives_no_rights(self) -> None:
        broken = HandleValue(100, b"HS_ADMIN", b"\x0f")
        assert code(write(DELETE), facts(url(), broken)) is ResponseCode.NOT_ADMINISTRATOR


class TestCreation:
    def test_the_right_comes_from_the_prefix(self) -> None:
        asked = write(CREATE, url())
        right = admin(ADMIN, AdminPermission.ADD_HANDLE)
        assert code(asked, facts(there=False, prefix=(right,))) is ResponseCode.SUCCESS
        wrong = admin(ADMIN, ALL & ~AdminPermission.ADD_HANDLE)
        assert code(asked, facts(there=False, prefix=(wrong,))) == 400
        assert code(asked, facts(there=False, prefix=())) == 400

    def test_its_own_administrators_do_not_help(self) -> None:
        assert code(write(CREATE, admin(ADMIN)), facts(there=False)) == 400

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([url(0)], ResponseCode.INVALID_VALUE),
            ([url(2**31)], ResponseCode.INVALID_VALUE),
            ([url(1), url(1)], ResponseCode.VALUE_ALREADY_EXISTS),
            ([url(index) for index in range(1, MAX_VALUES + 2)], ResponseCode.INVALID_VALUE),
        ],
    )
    def test_bad_values_are_told_before_anybody_is_asked(
        self, values: list[HandleValue], expected: ResponseCode
    ) -> None:
        assert code(write(CREATE, *values, caller=None), facts(there=False)) is expected

    def test_a_foreign_prefix_is_told_first_of_all(self) -> None:
        asked = replace(write(CREATE, url(0), caller=None), identifier=named("99.9/x"))
        assert code(asked, facts()) is ResponseCode.SERVER_NOT_RESPONSIBLE

    def test_a_record_that_is_there_is_told_before_anybody_is_asked(self) -> None:
        asked = write(CREATE, url(), caller=None)
        assert code(asked, facts(url())) is ResponseCode.HANDLE_ALREADY_EXISTS

    def test_a_derived_prefix_takes_a_right_of_its_own(self) -> None:
        derived = named("0.NA/88.1.7")
        asked = replace(write(CREATE, url()), identifier=derived)
        unread = {derived.key: None}
        for right, expected in (
            (AdminPermission.ADD_DERIVED_PREFIX, ResponseCode.SUCCESS),
            (ALL & ~AdminPermission.ADD_DERIVED_PREFIX, ResponseCode.NOT_ADMINISTRATOR),
        ):
            known = facts(prefix=(admin(ADMIN, right),), others=dict(unread))
            assert code(asked, known) is expected


class TestReplacement:
    """PUT of a whole record: the finer rights, or those to delete it and make it anew."""

    asked = write(CREATE, url(1, b"new"), admin(ADMIN), overwrite=True)

    def test_the_finer_rights_do(self) -> None:
        mine = admin(ADMIN, AdminPermission.MODIFY_VALUE)
        asked = write(CREATE, url(1, b"new"), mine, overwrite=True)
        assert code(asked, facts(url(), mine)) is ResponseCode.SUCCESS
        dropping = write(CREATE, mine, overwrite=True)
        assert code(dropping, facts(url(), mine)) is ResponseCode.NOT_ADMINISTRATOR

    def test_the_right_to_add_administrators_does(self) -> None:
        mine = admin(ADMIN, AdminPermission.ADD_ADMIN)
        assert code(self.asked, facts(url(), mine)) is ResponseCode.SUCCESS

    def test_the_right_to_delete_does_with_the_right_to_create(self) -> None:
        mine = admin(ADMIN, AdminPermission.DELETE_HANDLE)
        assert code(self.asked, facts(url(), mine)) is ResponseCode.NOT_ADMINISTRATOR
        makes = admin(ADMIN, AdminPermission.ADD_HANDLE)
        assert code(self.asked, facts(url(), mine, prefix=(makes,))) is ResponseCode.SUCCESS

    def test_neither_does_for_a_value_that_administrators_may_not_write(self) -> None:
        mine = admin(ADMIN, AdminPermission.ADD_ADMIN | AdminPermission.DELETE_HANDLE)
        makes = admin(ADMIN, AdminPermission.ADD_HANDLE)
        known = facts(url(permissions=10), mine, prefix=(makes,))
        assert code(self.asked, known) is ResponseCode.INSUFFICIENT_PERMISSIONS

    def test_nobody_may_find_out_by_guessing(self) -> None:
        """A hidden value that is given again takes the right to change it, whether it is the same or not."""
        hidden = HandleValue(300, b"HS_SECKEY", b"sealed", permissions=12)
        guess = replace(hidden, data=b"other")
        reads = admin(ADMIN, AdminPermission.AUTHORIZED_READ)
        for caller in (OTHER, ADMIN):
            answers = {
                code(write(CREATE, url(), each, reads, overwrite=True, caller=caller), known)
                for each in (hidden, guess)
                for known in (facts(url(), hidden, reads),)
            }
            assert answers == {ResponseCode.NOT_ADMINISTRATOR}

    def test_a_stranger_is_refused_though_nothing_would_change(self) -> None:
        asked = write(CREATE, url(), admin(ADMIN), overwrite=True, caller=OTHER)
        assert code(asked, facts(url(), admin(ADMIN))) is ResponseCode.NOT_ADMINISTRATOR

    def test_what_is_left_as_it_is_needs_no_right_and_is_no_change(self) -> None:
        mine = admin(ADMIN, AdminPermission.LIST_HANDLES)
        found = decide(write(CREATE, url(timestamp=5), mine, overwrite=True), facts(url(), mine))
        assert isinstance(found, Plan)
        assert not found.is_change


class TestSingleValues:
    def test_one_that_administrators_may_not_write_stays(self) -> None:
        locked = url(permissions=10)
        for asked in (
            write(MODIFY, url(1, b"new")),
            write(REMOVE, indexes=(1,)),
            write(CREATE, admin(ADMIN), overwrite=True),
        ):
            known = facts(locked, admin(ADMIN))
            assert code(asked, known) is ResponseCode.INSUFFICIENT_PERMISSIONS
            assert code(replace(asked, caller=ROOT), known) is ResponseCode.SUCCESS

    def test_one_that_the_public_may_write_takes_no_right_but_a_name(self) -> None:
        known = facts(url(permissions=15), admin(ADMIN))
        asked = write(MODIFY, url(1, b"new"), caller=OTHER)
        assert code(asked, known) is ResponseCode.SUCCESS
        nobody = code(replace(asked, caller=None), known)
        assert nobody is ResponseCode.AUTHENTICATION_NEEDED

    def test_values_that_are_not_there(self) -> None:
        known = facts(url(), admin(ADMIN))
        assert code(write(MODIFY, url(9), caller=None), known) is ResponseCode.VALUES_NOT_FOUND
        assert code(write(REMOVE, indexes=(1, 9)), known) is ResponseCode.VALUES_NOT_FOUND
        assert code(write(ADD, url(1)), known) is ResponseCode.VALUE_ALREADY_EXISTS
        assert code(write(ADD), known) is ResponseCode.INVALID_VALUE
        assert code(write(REMOVE), known) is ResponseCode.INVALID_VALUE

    @pytest.mark.parametrize("operation", [ADD, MODIFY, DELETE])
    def test_a_record_that_is_not_there(self, operation: Operation) -> None:
        values = () if operation is DELETE else (url(),)
        known = facts(there=False)
        asked = write(operation, *values)
        assert code(asked, known) is ResponseCode.HANDLE_NOT_FOUND
        assert code(replace(asked, caller=None), known) is ResponseCode.AUTHENTICATION_NEEDED


class TestTimestampsAndOrder:
    def test_what_changes_is_stamped_and_the_rest_is_not(self) -> None:
        before = (url(1, timestamp=5), url(2, timestamp=6), admin())
        asked = write(ADD, url(2, b"new", timestamp=9), url(3), overwrite=True)
        found = decide(asked, facts(*before))
        assert isinstance(found, Plan)
        assert found.values is not None
        stamps = [(value.index, value.timestamp) for value in found.values]
        assert stamps == [(1, 5), (2, NOW), (100, 0), (3, NOW)]

    def test_a_replacement_takes_the_order_given(self) -> None:
        asked = write(CREATE, admin(), url(1, timestamp=9), overwrite=True)
        found = decide(asked, facts(url(1, timestamp=5), admin()))
        assert isinstance(found, Plan)
        assert found.values is not None
        assert [(v.index, v.timestamp) for v in found.values] == [(100, 0), (1, 5)]


class TestConditions:
    @pytest.mark.parametrize("condition", [1, MUST_EXIST, None])
    def test_that_hold(self, condition: int | None) -> None:
        assert code(write(DELETE, if_version=condition), facts(url(), admin())) == 1

    @pytest.mark.parametrize("condition", [0, 2])
    def test_that_do_not(self, condition: int) -> None:
        found = decide(write(DELETE, if_version=condition), facts(url(), admin()))
        assert isinstance(found, Verdict)
        assert (found.condition_failed, found.version) == (True, 1)

    def test_are_not_told_to_who_has_no_right(self) -> None:
        asked = write(DELETE, if_version=2, caller=OTHER)
        assert code(asked, facts(url(), admin())) is ResponseCode.NOT_ADMINISTRATOR


@pytest.mark.parametrize(
    ("scopes", "prefixes", "expected"),
    [
        ({Scope.WRITE}, (), 1),
        ({Scope.WRITE}, (b"88.1",), 1),
        ({Scope.WRITE}, (b"88.2",), 401),
        ({Scope.READ, Scope.LIST, Scope.OPERATE}, (), 401),
        (set(), (), 401),
    ],
)
def test_a_token_gives_no_more_than_it_is_for(
    scopes: set[Scope], prefixes: tuple[bytes, ...], expected: int
) -> None:
    caller = Caller(ADMIN.handle, 300, "token", frozenset(scopes), prefixes)
    assert code(write(DELETE, caller=caller), facts(url(), admin())) == expected
