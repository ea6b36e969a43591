"""One session of ours at the server: media transport and negotiation, from a join to the next full reconnect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

from livekit.protocol.rtc import ICEServer, SessionDescription, SignalRequest, SignalTarget, SyncState, TrickleRequest

from pyegress.errors import EgressError, RoomConnectionFailed
from pyegress.room.negotiation import Negotiator
from pyegress.room.subscriber import Subscriber
from pyegress.room.transport import DatagramSeam, IceServer, MediaTransport, TransportState


class MediaSession:
    """Connects one `MediaTransport` with the server's offers and with the subscriber.

    `send` drops what is sent while signalling is away: after a resume the server begins its negotiation anew.
    """

    def __init__(
        self,
        sid: str,
        *,
        ice_servers: Iterable[ICEServer],
        subscriber: Subscriber,
        relay_only: bool,
        seam: DatagramSeam | None,
        send: Callable[[SignalRequest], None],
        on_state: Callable[[TransportState], None],
        on_failure: Callable[[EgressError], None],
    ) -> None:
        #: The sid of our participant; a resume names it.
        self.sid = sid
        self._send = send
        self.transport = MediaTransport(
            ice_servers=[
                IceServer(url, server.username, server.credential) for server in ice_servers for url in server.urls
            ],
            on_rtp=subscriber.on_rtp,
            on_rtcp=subscriber.on_rtcp,
            on_candidate=self._candidate,
            on_state=on_state,
            relay_only=relay_only,
            seam=seam,
        )
        #: Set once the server's newest negotiation was answered.
        self.answered = asyncio.Event()
        self.negotiator = Negotiator(
            self.transport, on_streams=subscriber.announced, on_answer=self._answer, on_failure=on_failure
        )
        self._task = asyncio.create_task(self.negotiator.run(), name="negotiation")

    def signal_lost(self) -> None:
        """Signalling went away. The server will restart ICE when it is back."""
        self.answered.clear()
        self.negotiator.signal_lost()

    def sync_state(self, subscriber: Subscriber) -> SyncState:
        """Where we stand, for the server that we come back to."""
        return SyncState(
            offer=self.negotiator.last_offer,
            answer=self.negotiator.last_answer,
            subscription=subscriber.state(),
        )

    async def wait_connected(self, timeout: float) -> None:
        """Return when media can flow; raises the EgressError that says why not."""
        if self.transport.state is TransportState.FAILED:
            # The answer to the server's next offer brings it back to life.
            try:
                await asyncio.wait_for(self.answered.wait(), timeout)
            except TimeoutError:
                raise self.transport.error or RoomConnectionFailed("The server made no media offer") from None
        await self.transport.wait_connected(timeout)

    async def aclose(self) -> None:
        """Idempotent, about 1 s at most."""
        self._task.cancel()
        await asyncio.wait({self._task})
        await self.transport.aclose()

    def _answer(self, answer: SessionDescription) -> None:
        self._send(SignalRequest(answer=answer))
        self.answered.set()

    def _candidate(self, line: str | None) -> None:
        if line is not None:
            init = json.dumps({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0})
            self._send(SignalRequest(trickle=TrickleRequest(candidateInit=init, target=SignalTarget.SUBSCRIBER)))
