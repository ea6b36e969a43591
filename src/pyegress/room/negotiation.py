"""Offer and answer of the subscriber peer connection: one at a time, in the order of the server's messages."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from livekit.protocol.rtc import SessionDescription, SignalTarget, TrickleRequest

from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError
from pyegress.room.answer import build_answer, recordable
from pyegress.room.sdp import MediaSection, RtpMap, SessionOffer, parse_offer
from pyegress.room.transport import IceCredentials
from pyegress.rtp.payload_format import PayloadFormat

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MediaStream:
    """What an offer announces for one track: its SSRCs, and what the payload types of its m-line mean."""

    track_sid: str
    mid: str
    kind: Kind
    ssrc: int
    rtx_ssrc: int | None
    formats: Mapping[int, PayloadFormat]


def announced_streams(offer: SessionOffer, mid_to_track_id: Mapping[str, str]) -> tuple[MediaStream, ...]:
    """The tracks that the server sends from this offer on.

    An m-line is nobody's for good: it loses its track (`inactive`) and is used again for another one, of another
    codec. `mid_to_track_id` names the track; where it does not, the second word of `a=msid` is the track's sid.
    """
    streams: list[MediaStream] = []
    for section in offer.media:
        if section.kind not in ("audio", "video") or not section.sends or not section.ssrcs:
            continue
        track_sid = mid_to_track_id.get(section.mid) or (section.msid[1] if section.msid else "")
        if not track_sid:
            continue
        formats = payload_formats(section)
        if not any(described.codec for described in formats.values()):
            continue
        # A media SSRC that has an RTX SSRC goes before one that has none.
        ssrc = next((ssrc for ssrc in section.ssrcs if ssrc in section.fid_groups), section.ssrcs[0])
        streams.append(
            MediaStream(
                track_sid=track_sid,
                mid=section.mid,
                kind=Kind(section.kind),
                ssrc=ssrc,
                rtx_ssrc=section.fid_groups.get(ssrc),
                formats=formats,
            )
        )
    return tuple(streams)


def payload_formats(section: MediaSection) -> Mapping[int, PayloadFormat]:
    """The payload types that we accepted on an m-line, as reception needs them."""
    formats: dict[int, PayloadFormat] = {}
    for number, payload in section.payloads.items():
        wanted = payload.apt is not None or recordable(section, payload)
        if wanted and (described := _payload_format(payload)) is not None:
            formats[number] = described
    return {n: f for n, f in formats.items() if f.apt is None or f.apt in formats}


def _payload_format(payload: RtpMap) -> PayloadFormat | None:
    if payload.apt is not None:
        return PayloadFormat.rtx(payload.apt, payload.clock_rate)
    if payload.is_red:
        blocks = tuple(int(block) for block in payload.fmtp_line.split("/") if block.isdigit())
        return PayloadFormat.red(blocks, payload.clock_rate)
    codec: Codec | None = payload.codec
    return None if codec is None else PayloadFormat.media(codec, payload.fmtp)


class OfferTaker(Protocol):
    """What negotiation needs of the media transport."""

    @property
    def fingerprint(self) -> str: ...

    async def negotiate(self, offer: SessionOffer) -> IceCredentials: ...

    def add_remote_candidate(self, line: str, ufrag: str | None = None) -> None: ...


class Negotiator:
    """Takes offers and candidates in the order in which they came and answers each offer once.

    An offer may come while the former is still being applied, and candidates belong to the offer before them: hence
    one queue for both. `on_streams` is called before the answer leaves, because packets may follow it at once.
    """

    def __init__(
        self,
        transport: OfferTaker,
        *,
        on_streams: Callable[[tuple[MediaStream, ...]], None],
        on_answer: Callable[[SessionDescription], None],
        on_failure: Callable[[EgressError], None],
    ) -> None:
        self._transport = transport
        self._on_streams = on_streams
        self._on_answer = on_answer
        self._on_failure = on_failure
        self._queue: asyncio.Queue[SessionDescription | TrickleRequest] = asyncio.Queue()
        self._generation = 0
        #: What the server and we agreed on last (`SyncState` wants both).
        self.last_offer: SessionDescription | None = None
        self.last_answer: SessionDescription | None = None

    def offer(self, description: SessionDescription) -> None:
        """Queue an offer."""
        self._queue.put_nowait(description)

    def trickle(self, request: TrickleRequest) -> None:
        """Queue a candidate of the server; those of its publisher side are not for us."""
        if request.target == SignalTarget.SUBSCRIBER:
            self._queue.put_nowait(request)

    def signal_lost(self) -> None:
        """Forget what waits: the server repeats its offer after a resume. An answer under way is not sent."""
        self._generation += 1
        while not self._queue.empty():
            self._queue.get_nowait()

    async def run(self) -> None:
        """Serve until cancelled or until an offer cannot be taken (`on_failure`)."""
        while True:
            item = await self._queue.get()
            if isinstance(item, TrickleRequest):
                self._add_candidate(item)
                continue
            try:
                await self._answer(item)
            except EgressError as error:
                self._on_failure(error)
                return

    async def _answer(self, description: SessionDescription) -> None:
        generation = self._generation
        offer = parse_offer(description.sdp)
        credentials = await self._transport.negotiate(offer)
        sdp = build_answer(
            offer,
            ufrag=credentials.ufrag,
            pwd=credentials.pwd,
            fingerprint=self._transport.fingerprint,
            candidates=credentials.candidates,
        )
        # `id` tells the server which of its offers is answered; without it late answers spoil newer offers.
        answer = SessionDescription(type="answer", sdp=sdp, id=description.id)
        self._on_streams(announced_streams(offer, description.mid_to_track_id))
        if generation != self._generation:
            return
        self.last_offer, self.last_answer = description, answer
        self._on_answer(answer)

    def _add_candidate(self, request: TrickleRequest) -> None:
        try:
            init = json.loads(request.candidateInit)
            line, ufrag = init["candidate"], init.get("usernameFragment")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("passed over an ICE candidate that cannot be read")
            return
        if isinstance(line, str) and line:
            self._transport.add_remote_candidate(line, ufrag if isinstance(ufrag, str) and ufrag else None)
