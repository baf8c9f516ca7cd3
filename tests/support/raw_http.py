"""Replies of HTTP as they came over the wire."""


class RawReply:
    """One raw HTTP reply: the words of its status, its headers with lower-case names, and its body."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = lines[0].partition(" ")[2]
        self.headers: dict[str, list[str]] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())

    def header(self, name: str) -> str | None:
        """Return the one header of this name, None when there is none."""
        values = self.headers.get(name)
        if values is None:
            return None
        (value,) = values
        return value
