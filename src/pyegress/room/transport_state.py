"""The states of a media transport, the one table of their moves, and its counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TransportState(Enum):
    #: No offer yet.
    NEW = "new"
    #: Looking for a path, or shaking hands.
    CONNECTING = "connecting"
    #: ICE and DTLS are done: media can flow.
    CONNECTED = "connected"
    #: Nothing has come for some seconds; it may recover by itself or by an ICE restart.
    DISCONNECTED = "disconnected"
    #: Lost; only an ICE restart can bring it back. `MediaTransport.error` says why.
    FAILED = "failed"
    #: Closed by us.
    CLOSED = "closed"


#: Which move is legal. Only `MediaTransport` moves.
MOVES: dict[TransportState, frozenset[TransportState]] = {
    TransportState.NEW: frozenset({TransportState.CONNECTING, TransportState.CLOSED}),
    TransportState.CONNECTING: frozenset({TransportState.CONNECTED, TransportState.FAILED, TransportState.CLOSED}),
    TransportState.CONNECTED: frozenset({TransportState.DISCONNECTED, TransportState.FAILED, TransportState.CLOSED}),
    TransportState.DISCONNECTED: frozenset({TransportState.CONNECTED, TransportState.FAILED, TransportState.CLOSED}),
    TransportState.FAILED: frozenset({TransportState.CONNECTING, TransportState.CLOSED}),
    TransportState.CLOSED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class TransportStats:
    """Counters since the beginning."""

    #: SRTP and SRTCP packets received, authentic or not.
    packets: int
    octets: int
    auth_failures: int
    replays: int
    #: Packets that were no SRTP at all.
    malformed: int
    #: Packets that came before the DTLS handshake was done here.
    early: int
    #: RTCP packets that could not be sent because there was no connection.
    rtcp_unsent: int
    #: Datagrams that the kernel dropped for want of buffer; None where it does not tell.
    kernel_drops: int | None
    ice_restarts: int
    srtp_profile: str | None
