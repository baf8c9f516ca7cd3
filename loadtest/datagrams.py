"""Datagrams in batches: sendmmsg and recvmmsg through ctypes, one system call for many.

All requests lie in one arena with their message headers made beforehand; sending is one call on a slice of them.
Needs Linux on a 64-bit machine.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence

STRIDE = 1024  # an answer has at most 512 bytes; more is cut and so counted as wrong
_HEADER = struct.Struct("@QI4xQQQQi4xI4x")  # struct mmsghdr of 64-bit Linux
_LENGTH_AT = 14  # of mmsghdr, in 32-bit words: msg_len
_ID_AT = 2  # of a message, in 32-bit words

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _headers(places: Sequence[tuple[int, int]]) -> tuple[bytearray, bytearray]:
    """Return mmsghdr and iovec arrays for (address, length) places; both must stay alive while they are used."""
    vectors = bytearray(b"".join(struct.pack("@QQ", *place) for place in places))
    first = _address(vectors)
    headers = bytearray(
        b"".join(
            _HEADER.pack(0, 0, first + 16 * number, 1, 0, 0, 0, 0) for number in range(len(places))
        )
    )
    return headers, vectors


class Requests:
    """All requests, ready for sendmmsg."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self._arena = bytearray(b"".join(requests))
        at, places = _address(self._arena), []
        for request in requests:
            places.append((at, len(request)))
            at += len(request)
        self._headers, self._vectors = _headers(places)
        self.address = _address(self._headers)

    def send(self, fd: int, first: int, count: int) -> int:
        """Send requests first … first + count; return how many the kernel took."""
        sent: int = _sendmmsg(fd, self.address + first * _HEADER.size, count, socket.MSG_DONTWAIT)
        return max(sent, 0)


class Inbox:
    """Slots for one batch of answers."""

    def __init__(self, slots: int) -> None:
        self.data = bytearray(slots * STRIDE)
        base = _address(self.data)
        self._headers, self._vectors = _headers(
            [(base + slot * STRIDE, STRIDE) for slot in range(slots)]
        )
        self._slots, self._address = slots, _address(self._headers)
        self._ids = memoryview(self.data).cast("I")[_ID_AT :: STRIDE // 4]
        self._lengths = memoryview(self._headers).cast("I")[_LENGTH_AT :: _HEADER.size // 4]

    def receive(self, fd: int) -> int:
        """Return how many datagrams came (0 when none waits, or when the port is closed)."""
        count: int = _recvmmsg(fd, self._address, self._slots, socket.MSG_DONTWAIT, None)
        return max(count, 0)

    def batch(self, count: int) -> tuple[list[int], list[int]]:
        """Return ids and lengths of the first `count` datagrams."""
        return self._ids[:count].tolist(), self._lengths[:count].tolist()
