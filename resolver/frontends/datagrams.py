"""Datagrams of one UDP socket, read and answered many at a time: one system call for a batch instead of one for each.

Linux has calls for that (recvmmsg and sendmmsg, since 2.6.33 and 3.0), which Python lacks: they are called through
ctypes on arrays that are made once.  Elsewhere the socket is read and written one datagram at a time.  What the work of
a batch costs is in the caches then, too, and not pushed out by the kernel between any two datagrams (ADR 0015).

Law: what the kernel does not take now waits, so much of it; what the network refuses is gone.
"""

import asyncio
import ctypes
import errno
import mmap
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from resolver.recorder import MOST_AT_ONCE

SLOTS = MOST_AT_ONCE  # datagrams of a batch
MAX_REPLY_BYTES = 512  # of an answer in a batch; longer ones go in pieces by `sendto`
MAX_UNSENT = 1_024  # datagrams that wait for the kernel; more are dropped
_STRIDE = (
    65_536 + 192
)  # any datagram fits, and slots do not all begin in the same lines of the processor's cache
_HEADER = struct.Struct(
    "@QI4xQQQQi4xI4x"
)  # struct mmsghdr of 64-bit Linux: name, its length, vectors, …
_VECTOR = struct.Struct("@QQ")  # struct iovec: where, how long
_LENGTH_AT, _HEADER_WORDS = 14, 16  # of mmsghdr, in 32-bit words: msg_len, and the whole
_NAME_AT, _HEADER_LONGS = 0, 8  # in 64-bit words: msg_name, and the whole
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})
_NAMES = {
    socket.AF_INET: struct.Struct("=2x2s4s8x"),  # sockaddr_in: family, port, address
    socket.AF_INET6: struct.Struct(
        "=2x2s4x16s4x"
    ),  # sockaddr_in6: family, port, flow, address, scope
}
_IPV6_REST = struct.Struct("=4xI16xI")  # flow and scope of a sockaddr_in6

Address = tuple[Any, ...]
Name = Any
"""An address as the socket has it, which may be kept until the answer is there."""

Datagram = tuple[bytes, bytes, bytes]
"""What came, and from where: the port as on the wire, and the 4 or 16 bytes of the address."""


class Datagrams(Protocol):
    """What a front end needs of its socket."""

    def receive(self) -> Sequence[Datagram]:
        """Read what has come, at most SLOTS datagrams."""
        ...

    def address(self, slot: int) -> Address:
        """Return the address of the datagram at this place of the newest batch, as `socket.sendto` takes it."""
        ...

    def name(self, slot: int) -> Name:
        """Return the same as `answer` takes it."""
        ...

    def address_of(self, name: Name) -> Address:
        """Return what a name stands for."""
        ...

    def reply(self, slots: Sequence[int], replies: Sequence[bytes]) -> None:
        """Answer the datagrams at these places of the newest batch, each with MAX_REPLY_BYTES at most."""
        ...

    def answer(self, names: Sequence[Name], replies: Sequence[bytes]) -> None:
        """Answer datagrams of any batch, at most SLOTS, each with MAX_REPLY_BYTES at most."""
        ...

    def sendto(self, data: bytes, address: Address) -> None:
        """Send one datagram."""
        ...

    def read_no_more(self) -> None:
        """Leave what comes from now on to another process that has the socket; answers are still sent."""
        ...

    def close(self) -> None:
        """Read nothing more, and close the socket; what waits is dropped."""
        ...


class PlainDatagrams:
    """Reads and writes one datagram at a time; what has come is told to `readable`."""

    def __init__(self, sock: socket.socket, readable: Callable[[], None]) -> None:
        """Take a bound socket, which is closed with this.  Needs a running event loop."""
        sock.setblocking(False)
        self._socket = sock
        self._is_open = True
        self._addresses: list[Address] = []
        self._unsent: deque[tuple[bytes, Address]] = deque(maxlen=MAX_UNSENT)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), readable)

    def receive(self) -> Sequence[Datagram]:
        """See `Datagrams`."""
        self._addresses.clear()
        found = []
        with suppress(OSError):  # nothing more has come, or the network refused what was sent
            for _ in range(SLOTS):
                data, address = self._socket.recvfrom(_STRIDE)
                self._addresses.append(address)
                host = socket.inet_pton(self._socket.family, address[0].partition("%")[0])
                found.append((data, address[1].to_bytes(2, "big"), host))
        return found

    def address(self, slot: int) -> Address:
        """See `Datagrams`."""
        return self._addresses[slot]

    def name(self, slot: int) -> Name:
        """See `Datagrams`."""
        return self._addresses[slot]

    def address_of(self, name: Name) -> Address:
        """See `Datagrams`."""
        return tuple(name)

    def reply(self, slots: Sequence[int], replies: Sequence[bytes]) -> None:
        """See `Datagrams`."""
        self.answer([self._addresses[slot] for slot in slots], replies)

    def answer(self, names: Sequence[Name], replies: Sequence[bytes]) -> None:
        """See `Datagrams`."""
        for name, data in zip(names, replies, strict=True):
            self.sendto(data, name)

    def sendto(self, data: bytes, address: Address) -> None:
        """See `Datagrams`."""
        if not self._is_open:
            return
        if self._unsent:
            self._unsent.append((data, address))
        elif not self._is_sent(data, address):
            self._wait(data, address)

    def read_no_more(self) -> None:
        """See `Datagrams`."""
        if self._is_open:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """See `Datagrams`."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._unsent.clear()
            self._socket.close()

    def _is_sent(self, data: bytes, address: Address) -> bool:
        try:
            self._socket.sendto(data, address)
        except OSError as error:
            return error.errno not in _FULL
        return True

    def _wait(self, data: bytes, address: Address) -> None:
        if not self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._send_unsent)
        self._unsent.append((data, address))

    def _send_unsent(self) -> None:
        while self._unsent and self._is_sent(*self._unsent[0]):
            self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())


class BatchDatagrams(PlainDatagrams):
    """The same with one system call a batch, on Linux with 64 bits."""

    def __init__(self, sock: socket.socket, readable: Callable[[], None]) -> None:
        """See PlainDatagrams."""
        super().__init__(sock, readable)
        self._layout = _NAMES[sock.family]
        self._names = mmap.mmap(-1, SLOTS * self._layout.size)
        self._kept_names = mmap.mmap(-1, SLOTS * self._layout.size)
        self._first_kept = _address(self._kept_names)
        self._data = mmap.mmap(-1, SLOTS * _STRIDE)
        self._replies = mmap.mmap(-1, SLOTS * MAX_REPLY_BYTES)
        self._inbox = _Arrays(self._names, self._layout.size, self._data, _STRIDE)
        self._outbox = _Arrays(self._names, self._layout.size, self._replies, MAX_REPLY_BYTES)
        self._fd = sock.fileno()

    def receive(self) -> Sequence[Datagram]:
        """See `Datagrams`."""
        if not self._is_open:
            return ()
        count = _recvmmsg(self._fd, self._inbox.address, SLOTS, socket.MSG_DONTWAIT, None)
        if count <= 0:
            return ()
        data, sizes = self._data, self._inbox.lengths[:count].tolist()
        names = self._layout.iter_unpack(self._names[: count * self._layout.size])
        return [
            (data[at : at + size], port, host)
            for at, size, (port, host) in zip(_STARTS, sizes, names, strict=False)
        ]

    def address(self, slot: int) -> Address:
        """See `Datagrams`."""
        return self.address_of(self.name(slot))

    def name(self, slot: int) -> Name:
        """See `Datagrams`."""
        return self._names[slot * self._layout.size : (slot + 1) * self._layout.size]

    def address_of(self, name: Name) -> Address:
        """See `Datagrams`."""
        port, host = self._layout.unpack(name)
        text, number = socket.inet_ntop(self._socket.family, host), int.from_bytes(port, "big")
        if self._socket.family == socket.AF_INET:
            return text, number
        flow, scope = _IPV6_REST.unpack(name)
        return text, number, socket.ntohl(flow), scope

    def reply(self, slots: Sequence[int], replies: Sequence[bytes]) -> None:
        """See `Datagrams`."""
        first, step = self._outbox.first_name, self._layout.size
        self._write([first + slot * step for slot in slots], replies)
        self._send(replies, lambda place: self.address(slots[place]))

    def answer(self, names: Sequence[Name], replies: Sequence[bytes]) -> None:
        """See `Datagrams`."""
        first, step = self._first_kept, self._layout.size
        self._kept_names[: len(names) * step] = b"".join(names)
        self._write([first + place * step for place in range(len(names))], replies)
        self._send(replies, lambda place: self.address_of(names[place]))

    def _write(self, names: Sequence[int], replies: Sequence[bytes]) -> None:
        """Put replies, and where the kernel finds the names of their receivers, into its arrays."""
        data, lengths = self._replies, self._outbox.sizes
        at = 0
        for place, (name, reply) in enumerate(zip(names, replies, strict=True)):
            size = len(reply)
            data[at : at + size] = reply
            lengths[place] = size
            self._outbox.names[place] = name
            at += MAX_REPLY_BYTES

    def _send(self, replies: Sequence[bytes], address_at: Callable[[int], Address]) -> None:
        done, count = 0, len(replies)
        while done < count and self._is_open:
            at = self._outbox.address + done * _HEADER.size
            sent = (
                -1 if self._unsent else _sendmmsg(self._fd, at, count - done, socket.MSG_DONTWAIT)
            )
            if sent > 0:
                done += sent
            elif self._unsent or ctypes.get_errno() in _FULL:
                for place in range(done, count):
                    self.sendto(replies[place], address_at(place))
                return
            else:
                done += 1  # the network refuses this one


class _Arrays:
    """The kernel's arrays for one direction, over buffers for names and data."""

    def __init__(self, names: mmap.mmap, name_bytes: int, data: mmap.mmap, stride: int) -> None:
        self._kept = (names, data)
        self.first_name, first = _address(names), _address(data)
        vectors = mmap.mmap(-1, SLOTS * _VECTOR.size)
        headers = mmap.mmap(-1, SLOTS * _HEADER.size)
        for slot in range(SLOTS):
            _VECTOR.pack_into(vectors, slot * _VECTOR.size, first + slot * stride, stride)
            vector = _address(vectors) + slot * _VECTOR.size
            name = self.first_name + slot * name_bytes
            header = (name, name_bytes, vector, 1, 0, 0, 0, 0)
            _HEADER.pack_into(headers, slot * _HEADER.size, *header)
        self.address = _address(headers)
        self.lengths = memoryview(headers).cast("I")[_LENGTH_AT::_HEADER_WORDS]  # that were read
        self.names = memoryview(headers).cast("Q")[_NAME_AT::_HEADER_LONGS]
        self.sizes = memoryview(vectors).cast("Q")[1::2]  # that are to be sent


def open_datagrams(sock: socket.socket, readable: Callable[[], None]) -> Datagrams:
    """Return a bound socket's datagrams by the best way there is here."""
    return (BatchDatagrams if HAS_BATCHES else PlainDatagrams)(sock, readable)


def _address(buffer: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


_STARTS = tuple(slot * _STRIDE for slot in range(SLOTS))
_libc = ctypes.CDLL(None, use_errno=True)
HAS_BATCHES = (
    hasattr(_libc, "recvmmsg") and hasattr(_libc, "sendmmsg") and ctypes.sizeof(ctypes.c_long) == 8
)
if HAS_BATCHES:
    _recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
    _recvmmsg.argtypes = (
        ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
    )  # fmt: skip
    _sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
