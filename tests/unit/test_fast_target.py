"""The first line of an HTTP request as clients type it."""

import pytest

from resolver.frontends.fast import escape_target

REST = b"Host: x\r\nX-Name: \xe5\xb7\xa5\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "escaped"),
    [
        ("GET /88.118.8/工 HTTP/1.1", "GET /88.118.8/%E5%B7%A5 HTTP/1.1"),
        ("GET /88.118.8/%E5 HTTP/1.1", "GET /88.118.8/%E5 HTTP/1.1"),
        ("GET /plain HTTP/1.1", "GET /plain HTTP/1.1"),
    ],
)
def test_a_target_is_percent_encoded_where_it_is_not_ascii(line: str, escaped: str) -> None:
    data = line.encode() + b"\r\n" + REST
    assert escape_target(data) == escaped.encode() + b"\r\n" + REST


def test_a_first_line_that_is_not_whole_is_left_alone() -> None:
    data = "GET /工".encode()
    assert escape_target(data) == data
