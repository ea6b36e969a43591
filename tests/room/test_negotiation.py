"""Offers recorded from livekit-server: which tracks they bring, and that each is answered once and in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit.protocol.rtc import SessionDescription, SignalTarget, TrickleRequest

from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError
from pyegress.room.ice import IceCredentials
from pyegress.room.negotiation import MediaStream, Negotiator, announced_streams
from pyegress.room.sdp import SdpError, SessionOffer, parse_offer
from pyegress.rtp.payload_format import PayloadKind
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire

DATA = Path(__file__).parent.parent / "data" / "sdp"


def offer_text(name: str) -> str:
    return (DATA / f"{name}.sdp").read_bytes().decode()


def streams_of(name: str, mids: dict[str, str] | None = None) -> dict[str, MediaStream]:
    return {stream.mid: stream for stream in announced_streams(parse_offer(offer_text(name)), mids or {})}


def test_streams_with_their_ssrcs_and_tracks() -> None:
    streams = streams_of("audio_and_vp8")
    audio, video = streams["1"], streams["2"]
    assert (audio.kind, audio.track_sid, audio.rtx_ssrc) == (Kind.AUDIO, "TR_AMZ8JJ6qWTfcjN", None)
    assert (video.kind, video.track_sid) == (Kind.VIDEO, "TR_VCDYpqfRAw5GEz")
    assert (video.ssrc, video.rtx_ssrc) == (139862691, 1310646833)
    assert audio.formats[111].codec is Codec.OPUS
    assert (audio.formats[63].kind, audio.formats[63].blocks) == (PayloadKind.RED, (111, 111))
    assert video.formats[96].codec is Codec.VP8
    assert (video.formats[97].kind, video.formats[97].apt) == (PayloadKind.RTX, 96)
    assert {described.codec for described in video.formats.values()} - {None} == {
        Codec.VP8,
        Codec.VP9,
        Codec.H264,
        Codec.H265,
        Codec.AV1,
    }


def test_what_was_not_accepted_has_no_format() -> None:
    for name in ("audio_and_vp8", "mline_reused_for_h264"):
        offer = parse_offer(offer_text(name))
        for stream in announced_streams(offer, {}):
            section = next(section for section in offer.media if section.mid == stream.mid)
            for number, described in stream.formats.items():
                if described.codec is Codec.H264:
                    assert section.payloads[number].fmtp["packetization-mode"] == "1"
                assert described.apt is None or described.apt in stream.formats


def test_the_mapping_of_mids_wins_over_msid() -> None:
    assert streams_of("audio_and_vp8", {"2": "TR_mapped"})["2"].track_sid == "TR_mapped"


def test_removed_tracks_and_reused_m_lines() -> None:
    assert set(streams_of("first_offer_data_only")) == set()
    assert set(streams_of("audio_removed")) == {"2"}
    before, after = streams_of("audio_and_vp8")["2"], streams_of("mline_reused_for_h264")["2"]
    assert before.track_sid != after.track_sid
    assert before.ssrc != after.ssrc
    restarted = streams_of("ice_restart")["2"]
    assert restarted == after, "an ICE restart leaves the streams as they are"


class Transport:
    """Stands for the media transport: notes what it is told; `hold` keeps negotiations waiting."""

    fingerprint = ":".join(["AB"] * 32)

    def __init__(self) -> None:
        self.told: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.under_way = 0

    async def negotiate(self, offer: SessionOffer) -> IceCredentials:
        self.under_way += 1
        assert self.under_way == 1, "two negotiations at once"
        self.told.append(f"offer {offer.session_version}")
        await self.hold.wait()
        self.under_way -= 1
        return IceCredentials("ufrg", "p" * 22)

    def add_remote_candidate(self, line: str, ufrag: str | None = None) -> None:
        self.told.append(f"candidate {line} {ufrag}")


class Negotiation:
    """A negotiator with everything that comes out of it."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.out: list[object] = []
        self.negotiator = Negotiator(
            self.transport, on_streams=self.out.append, on_answer=self.out.append, on_failure=self.out.append
        )

    def offer(self, name: str, number: int) -> None:
        mids = {"1": "TR_audio", "2": "TR_video"}
        self.negotiator.offer(SessionDescription(type="offer", sdp=offer_text(name), id=number, mid_to_track_id=mids))

    def candidate(self, line: str, target: SignalTarget = SignalTarget.SUBSCRIBER, **more: str) -> None:
        init = json.dumps({"candidate": line} | more)
        self.negotiator.trickle(TrickleRequest(candidateInit=init, target=target))

    @property
    def answers(self) -> list[SessionDescription]:
        return [item for item in self.out if isinstance(item, SessionDescription)]


@asynccontextmanager
async def running() -> AsyncIterator[Negotiation]:
    negotiation = Negotiation()
    task = asyncio.create_task(negotiation.negotiator.run())
    try:
        yield negotiation
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_an_answer_names_its_offer_and_follows_the_streams() -> None:
    async with running() as negotiation:
        negotiation.offer("audio_and_vp8", 7)
        await eventually(lambda: negotiation.answers, "the answer")
        streams, answer = negotiation.out
        assert isinstance(streams, tuple)
        assert [stream.track_sid for stream in streams] == ["TR_audio", "TR_video"]
        assert isinstance(answer, SessionDescription)
        assert (answer.type, answer.id) == ("answer", 7)
        assert "a=ice-ufrag:ufrg" in answer.sdp
        assert negotiation.negotiator.last_answer is answer
        assert negotiation.negotiator.last_offer is not None
        assert negotiation.negotiator.last_offer.id == 7


async def test_offers_are_answered_one_after_the_other_with_their_candidates_in_order() -> None:
    async with running() as negotiation:
        negotiation.transport.hold.clear()
        negotiation.offer("first_offer_data_only", 1)
        await eventually(lambda: negotiation.transport.told, "the first offer")
        negotiation.candidate("candidate:1 1 udp 1 192.0.2.1 1 typ host", usernameFragment="abcd")
        negotiation.offer("audio_and_vp8", 2)
        negotiation.candidate("candidate:2 1 udp 1 192.0.2.1 2 typ host")
        negotiation.transport.hold.set()
        await eventually(lambda: len(negotiation.answers) == 2, "both answers")
        await eventually(lambda: len(negotiation.transport.told) == 4, "both candidates")
        assert [told.split()[0] for told in negotiation.transport.told] == ["offer", "candidate"] * 2
        assert negotiation.transport.told[1].endswith(" abcd")
        assert negotiation.transport.told[3].endswith(" None")
        assert [answer.id for answer in negotiation.answers] == [1, 2]


async def test_what_was_under_way_when_signalling_was_lost_is_not_answered() -> None:
    async with running() as negotiation:
        negotiation.transport.hold.clear()
        negotiation.offer("audio_and_vp8", 1)
        await eventually(lambda: negotiation.transport.told, "the offer")
        negotiation.offer("audio_and_vp8", 2)
        negotiation.negotiator.signal_lost()
        negotiation.offer("ice_restart", 3)
        negotiation.transport.hold.set()
        await eventually(lambda: negotiation.answers, "an answer")
        assert [answer.id for answer in negotiation.answers] == [3]
        assert len(negotiation.transport.told) == 2, "the second offer was forgotten"


async def test_candidates_that_are_not_ours_or_cannot_be_read_are_passed_over() -> None:
    async with running() as negotiation:
        negotiation.candidate("candidate:1", target=SignalTarget.PUBLISHER)
        negotiation.candidate("")
        for init in ("", "[]", "{}", '{"candidate": 5}', "{"):
            negotiation.negotiator.trickle(TrickleRequest(candidateInit=init, target=SignalTarget.SUBSCRIBER))
        negotiation.candidate("candidate:9")
        await eventually(lambda: negotiation.transport.told, "the good candidate")
        assert negotiation.transport.told == ["candidate candidate:9 None"]


async def test_an_offer_that_cannot_be_read_ends_the_negotiation_with_its_error() -> None:
    negotiation = Negotiation()
    negotiation.negotiator.offer(SessionDescription(type="offer", sdp="nonsense"))
    async with asyncio.timeout(5):
        await negotiation.negotiator.run()
    (error,) = negotiation.out
    assert isinstance(error, SdpError)
    assert isinstance(error, EgressError)
