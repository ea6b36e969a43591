"""The server's side of a media transport in this process: plain aioice, DTLS as the passive side, libsrtp."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aioice import Candidate, Connection
from pylibsrtp import Policy, Session

from pyegress.room.dtls import Certificate, DtlsSession
from pyegress.room.sdp import Fingerprint, SessionOffer, parse_offer
from pyegress.room.srtp import SrtpKeys
from pyegress.room.transport import IceCredentials, MediaTransport

SSRC = 0x01020304


def fingerprint_of(colons: str) -> Fingerprint:
    return Fingerprint("sha-256", colons.replace(":", ""))


class MediaPeer:
    """Offers, connects, sends numbered RTP packets and keeps the RTCP that comes."""

    def __init__(self) -> None:
        self.certificate = Certificate.generate()
        self.fingerprint = self.certificate.fingerprint
        self.rtcp: list[bytes] = []
        self.dtls_datagrams = 0
        self.sequence = 0
        self.keys: SrtpKeys | None = None
        self.keyed = asyncio.Event()
        self._connections: list[Connection] = []
        self._connected: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._dtls: DtlsSession | None = None
        self._version = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for connection in self._connections:
            await connection.close()

    async def offer(self, *, restart: bool = False, candidates: bool = True) -> SessionOffer:
        """An offer; a new generation of ICE the first time and on `restart`."""
        self._version += 1
        if restart or not self._connections:
            connection = Connection(ice_controlling=True)
            # aioice leaves loopback out when it gathers by itself.
            connection._local_candidates_start = connection._local_candidates_end = True
            connection._local_candidates += await connection.get_component_candidates(1, ["127.0.0.1"])
            self._connections.append(connection)
        connection = self._connections[-1]
        lines = [f"a=candidate:{c.to_sdp()}" for c in connection.local_candidates] if candidates else []
        return parse_offer(
            "\r\n".join(
                [
                    "v=0",
                    f"o=- 1 {self._version} IN IP4 0.0.0.0",
                    "s=-",
                    "t=0 0",
                    f"a=fingerprint:sha-256 {self.fingerprint}",
                    "a=group:BUNDLE 0",
                    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
                    "a=mid:0",
                    "a=setup:actpass",
                    f"a=ice-ufrag:{connection.local_username}",
                    f"a=ice-pwd:{connection.local_password}",
                    "a=sctp-port:5000",
                    *lines,
                ]
            )
        )

    def candidates(self) -> list[str]:
        return [f"candidate:{c.to_sdp()}" for c in self._connections[-1].local_candidates]

    async def accept(self, answer: IceCredentials, fingerprint: str) -> None:
        """Take the answer to the newest offer and connect in the background."""
        connection = self._connections[-1]
        connection.remote_username, connection.remote_password = answer.ufrag, answer.pwd
        for line in answer.candidates:
            await connection.add_remote_candidate(Candidate.from_sdp(line.removeprefix("candidate:")))
        if self._dtls is None:
            self._dtls = DtlsSession(self.certificate, (fingerprint_of(fingerprint),), active=False)
        self._tasks.append(asyncio.create_task(self._run(connection), name="media-peer"))

    async def negotiate(self, transport: MediaTransport, *, restart: bool = False) -> IceCredentials:
        """Offer and answer."""
        credentials = await transport.negotiate(await self.offer(restart=restart))
        await self.accept(credentials, transport.fingerprint)
        return credentials

    def close_dtls(self) -> None:
        assert self._dtls is not None
        self._dtls.close()
        self._flush(self._connected[-1])

    def send_rtp(self, count: int = 1, *, path: int = -1) -> list[bytes]:
        """Send numbered packets over the newest connected path, or that of `path`; what was sent, unencrypted."""
        packets = []
        for _ in range(count):
            self.sequence += 1
            packet = b"\x80\x60" + self.sequence.to_bytes(2, "big") + bytes(4) + SSRC.to_bytes(4, "big") + b"media"
            packets.append(packet)
            self.send(self._sender.protect(packet), path=path)
        return packets

    def send_rtcp(self) -> bytes:
        report = b"\x80\xc8\x00\x06" + SSRC.to_bytes(4, "big") + bytes(20)
        self.send(self._sender.protect_rtcp(report))
        return report

    def send(self, data: bytes, *, path: int = -1) -> None:
        pair = self._connected[path]._nominated[1]
        pair.protocol.transport.sendto(data, pair.remote_addr)

    def has_connected(self, generations: int) -> bool:
        """Whether so many generations of ICE have been connected."""
        return len(self._connected) >= generations

    def has_sent(self, sequence: int) -> bool:
        return self.sequence > sequence

    async def _run(self, connection: Connection) -> None:
        await connection.connect()
        self._connected.append(connection)
        assert self._dtls is not None
        while True:
            data = await connection.recv()
            if 20 <= data[0] <= 63:
                self.dtls_datagrams += 1
                self._dtls.feed(data)
                self._flush(connection)
                if self.keys is None and self._dtls.keys is not None:
                    self._take_keys(self._dtls.keys)
            elif 128 <= data[0] <= 191:
                self.rtcp.append(self._receiver.unprotect_rtcp(data))

    def _flush(self, connection: Connection) -> None:
        assert self._dtls is not None
        pair = connection._nominated[1]
        for datagram in self._dtls.take():
            pair.protocol.transport.sendto(datagram, pair.remote_addr)

    def _take_keys(self, keys: SrtpKeys) -> None:
        self.keys = keys
        profile = keys.profile.value.libsrtp
        self._sender = Session(Policy(key=keys.outbound, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self._receiver = Session(Policy(key=keys.inbound, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile))
        self.keyed.set()
