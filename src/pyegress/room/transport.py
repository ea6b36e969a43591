"""The media transport of a room: ICE, DTLS and SRTP of one bundle (RFC 8834), receiving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.room.sdp import SessionOffer


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server of the join response (`ICEServer`): one `stun:`, `turn:` or `turns:` URL each."""

    url: str
    username: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """Our `a=ice-ufrag` and `a=ice-pwd`."""

    ufrag: str
    pwd: str


class TransportState(Enum):
    """NEW, CONNECTING, CONNECTED (ICE and DTLS done), DISCONNECTED (silence), FAILED, CLOSED."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


class DatagramSeam(Protocol):
    """Where tests and benches put delay, loss, jitter, reordering and duplication, in both directions."""

    def inbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None: ...

    def outbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None: ...


class MediaTransport:
    """One ICE, DTLS and SRTP transport (BUNDLE, rtcp-mux) on the receiving side."""

    def __init__(
        self,
        *,
        ice_servers: Sequence[IceServer],
        on_rtp: Callable[[bytes, Monotonic], None],
        on_rtcp: Callable[[bytes, Monotonic], None],
        on_candidate: Callable[[str | None], None],
        on_state: Callable[[TransportState], None],
        relay_only: bool = False,
        seam: DatagramSeam | None = None,
        use_loopback: bool = True,
    ) -> None:
        raise NotImplementedError

    @property
    def state(self) -> TransportState:
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """SHA-256 of our certificate in colon form, for the answer."""
        raise NotImplementedError

    @property
    def rtt(self) -> float | None:
        """Smoothed round-trip time of STUN checks in seconds; None until one was measured."""
        raise NotImplementedError

    async def negotiate(self, offer: SessionOffer) -> IceCredentials:
        """Take an offer: the first starts the transport, new remote credentials restart ICE, others change nothing."""
        raise NotImplementedError

    def add_remote_candidate(self, line: str, ufrag: str | None = None) -> None:
        """A candidate of the server that came by the signal channel; `ufrag` is its `usernameFragment`, if given."""
        raise NotImplementedError

    def send_rtcp(self, data: bytes) -> None:
        """Protect and send a compound RTCP packet; counted and dropped while not connected."""
        raise NotImplementedError

    async def wait_connected(self, timeout: float) -> None:
        """Raises RoomConnectionFailed with the cause when the transport fails or is not connected in `timeout` s."""
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError
