"""A track's sound over a WebSocket, as it is published in a real room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from livekit.protocol import egress as pb

import pyegress
from pyegress.demo.content import tone_of
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.room.events import Source
from pyegress.service.egress_service import EgressStart
from tests.support.livekit_server import LiveKitServer
from tests.support.sound_receiver import SoundReceiver
from tests.support.waiting import eventually
from tests.system.scenes import access, clip, prepare, publishing, recorded
from tests.system.test_supervisor import node

pytestmark = pytest.mark.system


def heard(room: str, track: str, url: str) -> pb.TrackEgressRequest:
    return pb.TrackEgressRequest(room_name=room, track_id=track, websocket_url=url)


async def test_a_track_from_its_first_sound_to_its_end(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Three receivers of one track: as existing ones expect it, for transcription, and the packets themselves."""
    room = "heard"
    prepare("ada", clip())
    async with (
        SoundReceiver() as receiver,
        node(livekit_server, tmp_path) as here,
        publishing(livekit_server, room) as ada,
    ):
        track = ada.sids[Source.MICROPHONE]
        urls = {
            "EG_usual": f"{receiver.url}/usual?token=verysecret",
            "EG_words": f"{receiver.url}/words?pyegress.sample_rate=16000&pyegress.channels=1&pyegress.describe=1",
            "EG_packets": f"{receiver.url}/packets?pyegress.encoding=opus",
        }
        for egress_id, url in urls.items():
            await here.supervisor.start(EgressStart(egress_id, heard(room, track, url)))
        for egress_id in urls:
            await here.recorded(egress_id, 2.0)
        usual, words, packets = (
            next(one for one in receiver.connections if name in one.path) for name in ("usual", "words", "packets")
        )
        ada.mute(Source.MICROPHONE)
        await eventually(lambda: usual.texts and words.texts[1:] and packets.texts, "all know that it is muted")
        await here.recorded("EG_packets", 4.5)
        silence = ((usual, len(usual.frames) + 150), (words, len(words.frames) + 150))
        await eventually(lambda: all(len(one.frames) > count for one, count in silence), "a while of silence", 30)
        ada.unmute(Source.MICROPHONE)
        await eventually(lambda: len(usual.texts) == 2, "it is known that it is not muted any more")
        await here.recorded("EG_packets", 6.0)
        await ada.unpublish(Source.MICROPHONE)
        for egress_id in urls:
            info = await here.ended(egress_id)
            assert status_of(info) is EgressStatus.COMPLETE, info
            (sent,) = info.stream_results
            assert sent.status == pb.StreamInfo.Status.FINISHED
            assert sent.duration > 4e9
            assert "verysecret" not in str(info)
    assert [one.close_code for one in (usual, words, packets)] == [1000] * 3
    assert usual.texts == packets.texts == [{"muted": True}, {"muted": False}]
    assert words.texts[0]["format"] == {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1, "frame_ms": 10}
    assert words.texts[1:] == usual.texts
    for got, rate, channels in ((usual, 48_000, 2), (words, 16_000, 1)):
        assert {len(frame) for frame in got.binary} == {rate // 100 * channels * 2}
        samples = got.samples(channels)[:, 0].astype(float)
        seconds = len(samples) / rate
        # In real time, silence included.
        assert seconds == pytest.approx(got.frames[-1][0] - got.frames[0][0], abs=1.0)
        spectrum = np.abs(np.fft.rfft(samples))
        spectrum[: round(100 * seconds)] = 0.0
        assert np.argmax(spectrum) / seconds == pytest.approx(tone_of(3), abs=3.0)
        marks = [index for index, (_, frame) in enumerate(got.frames) if isinstance(frame, str)][-2:]
        silent = got.frames[marks[0] + 20 : marks[1] - 20]
        assert len(silent) > 50
        assert all(np.abs(np.frombuffer(frame, "<i2")).max() < 30 for _, frame in silent if isinstance(frame, bytes))
    # Opus leaves silence out.
    assert 60 < len(packets.binary) < 400


async def test_a_microphone_by_name_in_the_foreground(livekit_server: LiveKitServer) -> None:
    room = "heard-by-name"
    async with SoundReceiver() as receiver, publishing(livekit_server, room, video=False):
        recording = pyegress.record_track(
            room=room, identity="ada", source="microphone", output=receiver.url, **access(livekit_server)
        )
        async with recording:
            await recorded(recording, 1.0)
            recording.stop()
            result = await recording.wait()
        result.check()
        (sent,) = result.streams
        assert sent.status is StreamStatus.FINISHED
        (got,) = receiver.connections
        await eventually(lambda: got.over, "closed")
        assert len(got.binary) > 50


async def test_whoever_cannot_be_reached(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "unheard"
    async with (
        SoundReceiver() as receiver,
        node(livekit_server, tmp_path) as here,
        publishing(livekit_server, room) as ada,
    ):
        receiver.status = 403
        url = receiver.url + "?token=verysecret"
        await here.supervisor.start(EgressStart("EG_refused", heard(room, ada.sids[Source.MICROPHONE], url)))
        info = await here.ended("EG_refused")
        assert status_of(info) is EgressStatus.FAILED
        assert info.error_code == 400
        assert "answered HTTP 403" in info.error
        assert "verysecret" not in str(info)
        receiver.status = 0
        await here.supervisor.start(EgressStart("EG_video", heard(room, ada.sids[Source.CAMERA], receiver.url)))
        info = await here.ended("EG_video")
        assert status_of(info) is EgressStatus.FAILED
        assert info.error_code == 400
        assert "format websocket incompatible with codec" in info.error
