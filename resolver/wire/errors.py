"""WireError: the one way in which bytes are refused."""

from resolver.wire.constants import ResponseCode


class WireError(Exception):
    """The other side's bytes are not what the Handle protocol allows.

    `code` is the response code the message deserves (only codes that every known client
    understands).  `request_id` is set when the envelope could be read: answer with it, for a client
    cannot match any other.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ResponseCode = ResponseCode.PROTOCOL_ERROR,
        request_id: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
