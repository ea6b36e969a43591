"""Own network paths under aioice: what they have in common, and UDP sockets drained in bursts.

aioice's checks, roles and consent stay its own; only its datagram path is replaced, because it spends a queue, a
coroutine and a STUN parse on each media packet. What is used of its internals is guarded by tests/room/test_paths.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aioice.stun import Transaction

from pyegress.clock import Monotonic, monotonic
from pyegress.room.kernel_buffer import enlarge_receive_buffer, inode_of
from pyegress.room.srtp import ReceiveBuffer

Address = tuple[str, int]

#: Datagrams read in one wake-up of the loop before other callbacks get their turn.
MAX_BURST = 256
#: A wake-up of the loop costs several times what a packet costs: a process that slept finds its caches cold. When
#: packets come in more than this many wake-ups per second, the socket is read at fixed intervals instead, until they
#: would be as many as the intervals or fewer.
BUSY_WAKE_UPS = 65.0
#: Seconds between reads of a busy socket. Later NACKs cost nothing: livekit-server answers none in the first 100 ms
#: after it sent a packet (two round trips, where they are shorter). No divisor of 20 ms, the distance of audio packets:
#: their least delay would never be seen.
POLL_INTERVAL = 0.017
#: Seconds over which wake-ups are counted.
BUSY_WINDOW = 0.5
#: First repetition of a connectivity check. aioice waits 500 ms, which is what a check costs that comes before the
#: peer has read our answer.
CHECK_RTO = 0.1


class DatagramSeam(Protocol):
    """Where tests and benches put delay, loss, jitter, reordering and duplication, in both directions.

    Each call may deliver the datagram never, once or several times, now or later on the same event loop.
    """

    def inbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None: ...

    def outbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None: ...


class PathOwner(Protocol):
    """The ICE agent as its paths see it."""

    buffer: ReceiveBuffer
    seam: DatagramSeam | None
    #: Called for SRTP and SRTCP: so many octets are in `buffer`, received at that time.
    on_media: Callable[[int, Monotonic], None]
    last_received: Monotonic

    def on_other(self, data: bytes, source: Address, path: Path) -> None:
        """STUN, DTLS and whatever else (RFC 7983)."""

    def on_check(self, *, udp: bool, answered: bool) -> None:
        """A STUN request went out, or was answered."""

    def on_rtt(self, seconds: float) -> None:
        """The round trip of one check that was sent once."""


class Path(StunProtocol):
    """One local candidate: aioice's STUN client and server on a transport of ours."""

    udp = True

    def __init__(self, owner: PathOwner, receiver: Any) -> None:
        super().__init__(receiver)
        self._owner = owner
        self._sent: dict[bytes, tuple[int, Monotonic]] = {}

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """One datagram from a path that is not read in bursts (TCP, TURN, a seam)."""
        self._owner.last_received = now = monotonic()
        self.deliver(cast(bytes, data), (addr[0], addr[1]), now)

    def deliver(self, data: bytes, source: Address, now: Monotonic) -> None:
        """Demultiplex by the first octet (RFC 7983): 128..191 is SRTP or SRTCP."""
        owner = self._owner
        if data and 128 <= data[0] <= 191 and len(data) <= len(owner.buffer.data):
            owner.buffer.data[: len(data)] = data
            owner.on_media(len(data), now)
        elif data:
            owner.on_other(data, source, self)

    def stun_received(self, data: bytes, source: Address) -> None:
        """Hand a STUN message to aioice, whose parser lets several exceptions of malformed input through."""
        with contextlib.suppress(ValueError, KeyError, IndexError, struct.error, AssertionError):
            super().datagram_received(data, source)

    def send(self, data: bytes, target: Address) -> None:
        """Send one datagram; like UDP, silently nothing when that is impossible."""
        self.transport.sendto(data, target)

    async def request(
        self,
        request: stun.Message,
        addr: Address,
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, Address]:
        """As aioice's, but repeated sooner, and measuring round trips."""
        if integrity_key is not None:
            request.add_message_integrity(integrity_key)
        identity = request.transaction_id
        transaction = Transaction(request, addr, self, retransmissions=retransmissions, integrity_key=integrity_key)
        transaction._Transaction__timeout_delay = CHECK_RTO if retransmissions is None else 1.0  # type: ignore[attr-defined]
        self.transactions[identity] = transaction
        try:
            result = await transaction.run()
            if integrity_key is None:  # a STUN server, not a check
                return result
            self._owner.on_check(udp=self.udp, answered=True)
            # A response to a repeated request cannot be told from one to the first (Karn's algorithm).
            count, sent_at = self._sent.get(identity, (0, Monotonic(0.0)))
            if count == 1:
                self._owner.on_rtt(monotonic() - sent_at)
            return result
        finally:
            self.transactions.pop(identity, None)
            self._sent.pop(identity, None)

    def send_stun(self, message: stun.Message, addr: Address) -> None:
        if message.message_class == stun.Class.REQUEST:
            count, _ = self._sent.get(message.transaction_id, (0, None))
            self._sent[message.transaction_id] = (count + 1, monotonic())
            if "USERNAME" in message.attributes:
                self._owner.on_check(udp=self.udp, answered=False)
        super().send_stun(message, addr)

    def repeat_checks(self, addr: Address) -> None:
        """Send the checks in progress towards `addr` again: the peer is known to listen by now."""
        for transaction in list(self.transactions.values()):
            if transaction._Transaction__addr == addr:  # type: ignore[attr-defined]
                self.send_stun(transaction._Transaction__request, addr)  # type: ignore[attr-defined]


class UdpSocket:
    """A UDP socket in the form of the asyncio transport that aioice expects, read until it is empty."""

    def __init__(self, path: Path, owner: PathOwner, local: str) -> None:
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        self._sock = sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            enlarge_receive_buffer(sock)
            sock.bind((local, 0))
        except OSError:
            sock.close()
            raise
        self._path = path
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.fileno = sock.fileno()
        self.inode = inode_of(sock)
        self._poll_timer: asyncio.TimerHandle | None = None
        self._window_end = 0.0
        #: Reads in this window that found something.
        self._fruitful = 0
        self._loop.add_reader(self.fileno, self._wake_up if owner.seam is None else self._drain_through_seam)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sockname":
            return self._sock.getsockname()[:2]
        return self._sock if name == "socket" else default

    def sendto(self, data: bytes, addr: Address) -> None:
        seam = self._owner.seam
        if seam is None:
            self._sendto(addr, data)
        else:
            seam.outbound(data, partial(self._sendto, addr))

    def _sendto(self, addr: Address, data: bytes) -> None:
        # No route, a full buffer, an ICMP error of an earlier datagram, a closed socket: all like a lost datagram.
        with contextlib.suppress(OSError):
            self._sock.sendto(data, addr)

    def is_closing(self) -> bool:
        return self._sock.fileno() < 0

    def close(self) -> None:
        if not self.is_closing():
            self._loop.remove_reader(self.fileno)
            if self._poll_timer is not None:
                self._poll_timer.cancel()
            self._sock.close()
            self._loop.call_soon(self._path.connection_lost, None)

    @property
    def polling(self) -> bool:
        """The socket is busy and read at fixed intervals."""
        return self._poll_timer is not None

    def _wake_up(self) -> None:
        """The socket is readable."""
        now = monotonic()
        self._drain(now)
        self._fruitful += 1
        if now >= self._window_end:
            busy = self._fruitful > BUSY_WAKE_UPS * (now - self._window_end + BUSY_WINDOW)
            self._fruitful, self._window_end = 0, now + BUSY_WINDOW
            if busy and not self.is_closing():
                self._loop.remove_reader(self.fileno)
                self._poll_timer = self._loop.call_later(POLL_INTERVAL, self._poll)

    def _poll(self) -> None:
        now = monotonic()
        self._fruitful += self._drain(now)
        if self.is_closing():
            return
        if now >= self._window_end:
            # Most reads in vain: waiting for packets costs less again.
            quiet = self._fruitful < 0.6 * BUSY_WINDOW / POLL_INTERVAL
            self._fruitful, self._window_end = 0, now + BUSY_WINDOW
            if quiet:
                self._poll_timer = None
                self._loop.add_reader(self.fileno, self._wake_up)
                return
        self._poll_timer = self._loop.call_later(POLL_INTERVAL, self._poll)

    def _drain(self, now: Monotonic) -> bool:
        """Read what is there; True if there was something."""
        owner = self._owner
        receive, data, on_media = self._sock.recvfrom_into, owner.buffer.data, owner.on_media
        found = False
        for _ in range(MAX_BURST):
            try:
                size, source = receive(data)
            except BlockingIOError:
                return found
            except OSError:
                if self.is_closing():
                    return found
                continue  # an ICMP error of a datagram that we sent
            if not found:
                found = True
                owner.last_received = now
            if size and 128 <= data[0] <= 191:
                on_media(size, now)
            elif size:
                owner.on_other(bytes(data[:size]), (source[0], source[1]), self._path)
        return found

    def _drain_through_seam(self) -> None:
        seam = self._owner.seam
        assert seam is not None
        for _ in range(MAX_BURST):
            try:
                data, source = self._sock.recvfrom(65_536)
            except BlockingIOError:
                return
            except OSError:
                if self.is_closing():
                    return
                continue
            seam.inbound(data, partial(self._late, (source[0], source[1])))

    def _late(self, source: Address, data: bytes) -> None:
        if not self.is_closing():
            self._path.datagram_received(data, source)


def open_udp_path(owner: PathOwner, receiver: Any, local: str) -> Path:
    """A host candidate on `local`. Raises OSError when the address cannot be bound."""
    path = Path(owner, receiver)
    path.connection_made(cast(asyncio.BaseTransport, UdpSocket(path, owner, local)))
    host, port = path.transport.get_extra_info("sockname")
    # Loopback comes last among hosts: it only works when the server is on this machine.
    preference = 0 if host.startswith("127.") else 65_535
    path.local_candidate = host_candidate("udp", host, port, preference)
    return path


def host_candidate(transport: str, host: str, port: int, preference: int, tcptype: str | None = None) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", transport, host),
        component=1,
        transport=transport,
        priority=candidate_priority(1, "host", preference),
        host=host,
        port=port,
        type="host",
        tcptype=tcptype,
    )
