from dataclasses import replace
from pathlib import Path

import pytest

from node.address import Endpoint, PublicAddress
from node.config import Settings, as_environment, describe, load
from node.errors import Kind, RegistryError
from node.reading import one_worker_a_core


def refusal(environment: dict[str, str], directory: Path) -> str:
    with pytest.raises(RegistryError) as caught:
        load(environment, directory)
    assert caught.value.kind is Kind.MISCONFIGURED
    return caught.value.detail


def test_nothing_given_means_the_documented_defaults(tmp_path: Path) -> None:
    settings = load({}, tmp_path)

    assert settings == Settings()
    assert settings.http_listen == (Endpoint("127.0.0.1", 8000),)
    assert settings.native_listen == (Endpoint("127.0.0.1", 2641),)
    assert settings.admin_listen == (Endpoint("127.0.0.1", 9640),)
    assert settings.udp_max_datagrams == 4
    assert settings.case_sensitive is False
    assert settings.workers == one_worker_a_core() >= 1
    assert settings.data_dir == Path.cwd() / ".idnode"


def test_every_setting_has_a_sentence_and_a_variable() -> None:
    for each in describe():
        assert each.variable.startswith("IDNODE_")
        assert each.sentence.endswith(".")


def test_several_listeners_may_be_given_with_ipv6_in_brackets(tmp_path: Path) -> None:
    settings = load({"IDNODE_HTTP_LISTEN": "127.0.0.1:8000, [::1]:8001,localhost:0"}, tmp_path)

    assert settings.http_listen == (
        Endpoint("127.0.0.1", 8000),
        Endpoint("::1", 8001),
        Endpoint("localhost", 0),
    )
    assert [str(each) for each in settings.http_listen] == [
        "127.0.0.1:8000",
        "[::1]:8001",
        "localhost:0",
    ]


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "idnode.toml").write_text(
        'http_listen = ["127.0.0.1:1", "[::1]:2"]\nworkers = 3\ncase_sensitive = true\n', "utf-8"
    )

    settings = load({"IDNODE_WORKERS": "2"}, tmp_path)

    assert settings.workers == 2
    assert settings.case_sensitive is True
    assert settings.http_listen == (Endpoint("127.0.0.1", 1), Endpoint("::1", 2))


def test_a_named_file_is_read_instead_of_the_one_that_lies_there(tmp_path: Path) -> None:
    (tmp_path / "idnode.toml").write_text("workers = 3\n", "utf-8")
    (tmp_path / "other.toml").write_text("workers = 4\n", "utf-8")

    assert load({"IDNODE_CONFIG": str(tmp_path / "other.toml")}, tmp_path).workers == 4


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert "nowhere.toml" in refusal({"IDNODE_CONFIG": str(tmp_path / "nowhere.toml")}, tmp_path)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"IDNODE_HTP_LISTEN": "127.0.0.1:1"}, "did you mean IDNODE_HTTP_LISTEN?"),
        ({"IDNODE_BANANA": "1"}, "`idnode serve --help` lists the settings"),
        ({"IDNODE_HTTP_LISTEN": "8000"}, "IDNODE_HTTP_LISTEN must be host:port"),
        ({"IDNODE_HTTP_LISTEN": "127.0.0.1:70000"}, "IDNODE_HTTP_LISTEN must be host:port"),
        ({"IDNODE_HTTP_LISTEN": "::1:80"}, "[::1]:8000"),
        ({"IDNODE_HTTP_LISTEN": ""}, "needs at least one host:port"),
        ({"IDNODE_WORKERS": "many"}, "IDNODE_WORKERS must be a whole number from 0 to 256"),
        ({"IDNODE_WORKERS": "-1"}, "in the environment it is '-1'"),
        ({"IDNODE_CASE_SENSITIVE": "maybe"}, "must be true or false"),
        ({"IDNODE_DATABASE_URL": "mysql://x"}, "must begin with postgresql://"),
        ({"IDNODE_REDIS_URL": "http://x"}, "must begin with redis://"),
        ({"IDNODE_PUBLIC_ADDRESS": "node.example"}, "must be an IP address"),
        ({"IDNODE_ADMIN_LISTEN": "127.0.0.1:8000"}, "IDNODE_HTTP_LISTEN already has"),
        (
            {"IDNODE_ADMIN_LISTEN": "0.0.0.0:8000"},
            "IDNODE_ADMIN_LISTEN gives 0.0.0.0:8000, which IDNODE_HTTP_LISTEN already has as 127.0.0.1:8000",
        ),
        (
            {"IDNODE_HTTP_LISTEN": "[::]:1", "IDNODE_NATIVE_LISTEN": "[::1]:1"},
            "IDNODE_HTTP_LISTEN already has as [::]:1",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    assert said in refusal(environment, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wrokers = 2\n", "did you mean workers?"),
        ("workers = 1.5\n", "must be a text, a whole number"),
        ("workers = \n", "is not valid TOML"),
        ("[workers]\n", "must be a text, a whole number"),
        ("workers = 300\n", "idnode.toml it is '300'"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "idnode.toml").write_text(text, "utf-8")

    detail = refusal({}, tmp_path)

    assert said in detail
    assert "idnode.toml" in detail


def test_a_password_is_not_repeated_in_a_refusal(tmp_path: Path) -> None:
    detail = refusal({"IDNODE_DATABASE_URL": "mysql://root:secret@host/x"}, tmp_path)

    assert "secret" not in detail


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("REDIS", "redis://:se/cret@h"),
        ("REDIS", "redis://:12/cret@h"),
        ("REDIS", "redis://:se#cret@h"),
        ("REDIS", "redis://:[cret@h"),
        ("DATABASE", "postgresql://u:se/cret@h/x"),
        ("DATABASE", "postgresql://u:cret@h:x/x"),
        ("DATABASE", "postgresql://u:cret@h:70000/x"),
        ("DATABASE", "postgresql://u:cret\uff03@h/x"),
        ("DATABASE", "postgresql://u:cret@a:1,b:x/x"),
    ],
)
def test_url_that_cannot_be_read_is_refused_and_not_shown(
    name: str, url: str, tmp_path: Path
) -> None:
    detail = refusal({f"IDNODE_{name}_URL": url}, tmp_path)

    assert f"IDNODE_{name}_URL must have a numeric port; percent-encode / : @ #" in detail
    assert "cret" not in detail


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///idnode?host=/tmp&user=a@b",
        "postgresql://u:p%2F%40@a:1,b:2/x",
        "postgresql://u@[::1]:3/x",
        "postgres://u:p@h",
    ],
)
def test_urls_of_postgres_have_many_forms(url: str, tmp_path: Path) -> None:
    assert load({"IDNODE_DATABASE_URL": url}, tmp_path).database_url == url


def test_one_port_may_serve_ipv4_and_ipv6_and_several_addresses(tmp_path: Path) -> None:
    listen = {"IDNODE_HTTP_LISTEN": "0.0.0.0:1,[::]:1", "IDNODE_NATIVE_LISTEN": "127.0.0.1:2"}

    assert load({**listen, "IDNODE_ADMIN_LISTEN": "127.0.0.2:2"}, tmp_path).http_listen


def test_variables_that_kubernetes_sets_for_a_service_named_idnode_are_not_ours(
    tmp_path: Path,
) -> None:
    names = (
        "SERVICE_HOST",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_8000_TCP_ADDR",
        "ADMIN_SERVICE_HOST",
    )

    assert load({f"IDNODE_{name}": "x" for name in names}, tmp_path) == Settings()


def test_settings_survive_the_way_through_the_environment(tmp_path: Path) -> None:
    settings = replace(
        Settings(),
        http_listen=(Endpoint("::1", 80), Endpoint("0.0.0.0", 81)),
        public_address=PublicAddress("2001:db8::7", 2641, 80),
        data_dir=tmp_path / "with space, and comma",
        database_url="postgresql://u:p%40@h/d?host=%2Ftmp%2Fx",
        case_sensitive=True,
        workers=7,
    )
    (tmp_path / "idnode.toml").write_text("workers = broken", "utf-8")

    assert load(as_environment(settings), tmp_path) == settings
    assert load(as_environment(Settings()), tmp_path) == Settings()


@pytest.mark.parametrize(
    ("environment", "announced"),
    [
        ({}, PublicAddress("127.0.0.1", 2641, 8000)),
        ({"IDNODE_PUBLIC_ADDRESS": "203.0.113.7"}, PublicAddress("203.0.113.7", 2641, 8000)),
        ({"IDNODE_PUBLIC_ADDRESS": "203.0.113.7:1"}, PublicAddress("203.0.113.7", 1, 8000)),
        ({"IDNODE_PUBLIC_ADDRESS": "[2001:db8::7]:1:2"}, PublicAddress("2001:db8::7", 1, 2)),
        ({"IDNODE_NATIVE_LISTEN": "192.0.2.1:9"}, PublicAddress("192.0.2.1", 9, 8000)),
        ({"IDNODE_NATIVE_LISTEN": "0.0.0.0:9"}, PublicAddress("127.0.0.1", 9, 8000)),
        ({"IDNODE_NATIVE_LISTEN": "[::]:9"}, PublicAddress("::1", 9, 8000)),
    ],
)
def test_what_is_announced_is_filled_up_from_the_listeners(
    environment: dict[str, str], announced: PublicAddress, tmp_path: Path
) -> None:
    assert load(environment, tmp_path).announced == announced
