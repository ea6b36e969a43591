"""What happens to tracks while they are recorded: the file goes on, decodes to its end, and its clock is real time."""

from __future__ import annotations

import itertools
import statistics
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit.protocol.models import VideoQuality
from livekit.protocol.rtc import SignalRequest, UpdateTrackSettings

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.content import tone_of
from pyegress.demo.publishers import Content
from pyegress.lifecycle.recording import EndReason
from pyegress.room.events import Source
from pyegress.worker.session import RecordingSession
from tests.support.analysis import (
    beep_onsets,
    check_numbers,
    file_facts,
    flash_onsets,
    numbers_of,
    read_pictures,
    read_sound,
)
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually
from tests.system.scenes import (
    SMALL,
    access,
    clip,
    count,
    drift,
    finished,
    prepare,
    publishing,
    record,
    recorded,
    the_file,
)
from tests.system.witness import Witness

pytestmark = pytest.mark.system

#: Seconds by which media may be off the file's clock.
REAL_TIME = 0.15
#: Frames that a busy machine may cost.
FEW = 3


def assert_on_the_second(times: list[float], slip: float) -> None:
    """Events that were published at full seconds lie whole seconds apart; the publisher itself was off by `slip`."""
    off = [(time - times[0] + 0.5) % 1.0 - 0.5 for time in times]
    usual = statistics.median(off)
    assert max(abs(one - usual) for one in off) <= REAL_TIME + slip, times


async def test_mute_and_unmute(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "muted"
    async with (
        publishing(livekit_server, room) as ada,
        Witness(livekit_server, room) as witness,
        record(livekit_server, room, tmp_path / "file") as recording,
    ):
        camera, microphone = ada.sids[Source.CAMERA], ada.sids[Source.MICROPHONE]
        await recorded(recording, 2.5)
        ada.mute(Source.CAMERA)
        ada.mute(Source.MICROPHONE)
        await eventually(lambda: all(track.muted for track in recording.now.tracks), "both tracks are muted")
        await recorded(recording, 4.5)
        ada.unmute(Source.CAMERA)
        ada.unmute(Source.MICROPHONE)
        await eventually(lambda: not any(track.muted for track in recording.now.tracks), "both tracks are unmuted")
        await recorded(recording, 8.2)
    path = the_file(recording.result)
    pictures = read_pictures(path)
    assert count(pictures).duplicated == ()
    assert {picture.size for picture in pictures} == {SMALL}
    pause = max(after.at - before.at for before, after in itertools.pairwise(pictures))
    assert 1.5 < pause < 4.0
    assert witness.lost(path, camera).lost <= FEW
    assert max(map(abs, drift(pictures))) <= REAL_TIME + witness.slip(camera)
    sound = read_sound(path)
    # Muted time is silence, not a hole, and what follows it is where it belongs.
    assert [gap for gap in sound.gaps if gap[1] > 0.03] == []
    beeps = beep_onsets(sound, tone_of(3))
    assert_on_the_second(beeps, witness.slip(microphone))
    assert max(after - before for before, after in itertools.pairwise(beeps)) >= 2.5
    assert beeps[-1] > 6.0
    assert_on_the_second(flash_onsets(pictures), witness.slip(camera))
    assert abs(sound.start + sound.duration - recording.result.duration) < 0.5


async def test_the_resolution_changes(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """H.264: with the resolution the parameter sets change, in the middle of the file."""
    room, large, codecs = "resized", (480, 270), {"ada": Codec.VP8, "bob": Codec.H264}
    for name, codec in codecs.items():
        for size in (SMALL, large):
            prepare(name, clip(codec, size=size))
    async with Witness(livekit_server, room) as witness, AsyncExitStack() as stack:
        publishers = [
            await stack.enter_async_context(publishing(livekit_server, room, name, clip(codec), audio=False))
            for name, codec in codecs.items()
        ]
        recordings = [
            await stack.enter_async_context(record(livekit_server, room, tmp_path / name, name)) for name in codecs
        ]
        sids = [publisher.sids[Source.CAMERA] for publisher in publishers]
        for seconds, next_size in ((2.0, large), (4.0, SMALL), (6.0, None)):
            for recording in recordings:
                await recorded(recording, seconds)
            for publisher in publishers if next_size else ():
                await publisher.resize(next_size or SMALL)
    for recording, sid in zip(recordings, sids, strict=True):
        path = the_file(recording.result)
        pictures = read_pictures(path)
        sizes = [picture.size for picture in pictures]
        changes = [size for before, size in zip([None, *sizes], sizes, strict=False) if size != before]
        assert changes == [SMALL, large, SMALL]
        assert count(pictures).duplicated == ()
        assert witness.lost(path, sid).lost <= FEW
        assert max(map(abs, drift(pictures))) <= REAL_TIME + witness.slip(sid)


async def test_layers_of_a_simulcast_publisher(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """The server is asked for other layers in mid-recording: pictures of another size, all in order."""
    room, large = "simulcast", (960, 540)
    content = Content(participant=3, size=large, fps=15, simulcast=True, bitrate=1_200_000)
    async with (
        publishing(livekit_server, room, content=content, audio=False) as ada,
        record(livekit_server, room, tmp_path / "file") as recording,
    ):
        for seconds, quality in ((3.0, VideoQuality.LOW), (6.0, VideoQuality.HIGH)):
            await recorded(recording, seconds)
            assert isinstance(recording._session, RecordingSession)
            joined = recording._session._room
            assert joined is not None
            wish = UpdateTrackSettings(track_sids=[ada.sids[Source.CAMERA]], quality=quality)
            joined._connection.send(SignalRequest(track_setting=wish))
        await recorded(recording, 10.0)
    pictures = read_pictures(the_file(recording.result))
    sizes = {picture.size for picture in pictures}
    assert len(sizes) >= 2, sizes
    numbers = check_numbers(numbers_of(pictures))
    assert numbers.reordered == ()
    # At a change the server may begin the new layer with the picture that the old one ended with.
    assert len(numbers.duplicated) <= 6
    lags = [picture.at - picture.number / 15 for picture in pictures if picture.number is not None]
    assert len(lags) > len(pictures) * 0.9
    assert max(lags) - min(lags) <= 2 * REAL_TIME


async def test_screen_share(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "screen"
    async with publishing(livekit_server, room) as ada:
        await ada.publish(Source.SCREEN_SHARE, clip(participant=9))
        await ada.publish(Source.SCREEN_SHARE_AUDIO)
        async with record(livekit_server, room, tmp_path / "screen", screen_share=True) as recording:
            await recorded(recording, 3.5)
    path = the_file(recording.result)
    pictures = read_pictures(path)
    assert count(pictures).duplicated == ()
    assert {picture.participant for picture in pictures} == {9}
    sound = read_sound(path)
    assert len(beep_onsets(sound, ada.tone + 100)) >= 2
    assert beep_onsets(sound, ada.tone) == []


async def test_dtx(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Between the beeps nearly nothing is sent; the file has no holes and the beeps are where they belong."""
    room = "dtx"
    content = clip(dtx=True)
    async with (
        publishing(livekit_server, room, content=content, video=False) as ada,
        Witness(livekit_server, room) as witness,
        pyegress.record_track(
            room=room, identity="ada", source="microphone", output=tmp_path / "ada", **access(livekit_server)
        ) as recording,
    ):
        microphone = ada.sids[Source.MICROPHONE]
        await recorded(recording, 5.5)
        (track,) = recording.now.tracks
    sound = read_sound(the_file(recording.result))
    assert track.frames < 5.5 * 50 * 0.8, "nothing was left out: DTX is off"
    assert sound.gaps == ()
    assert sound.duration == pytest.approx(recording.result.duration, abs=0.03)
    beeps = beep_onsets(sound, tone_of(3))
    assert len(beeps) >= 4
    assert_on_the_second(beeps, witness.slip(microphone))


async def test_ends_with_its_participant(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room, arguments = "leaves", access(livekit_server)
    async with (
        publishing(livekit_server, room) as ada,
        record(livekit_server, room, tmp_path / "ada", grace=0.5) as whole,
        pyegress.record_track(
            room=room, track_id=ada.sids[Source.CAMERA], output=tmp_path / "camera", **arguments
        ) as camera,
    ):
        await recorded(whole, 2.0)
        await recorded(camera, 2.0)
        await ada.leave()
        results = [await finished(recording) for recording in (whole, camera)]
    for result in results:
        assert result.reason is EndReason.SOURCE_CLOSED
        pictures = read_pictures(the_file(result))
        # Up to its last picture, and nothing after it: no frozen tail, no silence.
        assert 1.5 <= result.duration <= pictures[-1].at + 0.6
        assert count(pictures).duplicated == ()


async def test_leaves_and_comes_back_within_the_grace(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """The recording goes on in the same file; the time without anybody is in it."""
    room = "rejoins"
    async with record(livekit_server, room, tmp_path / "file", grace=15.0, wait=30.0) as recording:
        async with publishing(livekit_server, room) as ada:
            await recorded(recording, 2.5)
            first = ada.epoch
        async with publishing(livekit_server, room) as ada:
            second = ada.epoch
            had = recording.now.elapsed
            await recorded(recording, had + 4.0)
    path = the_file(recording.result)
    assert sorted(stream.kind for stream in file_facts(path).streams) == ["audio", "video"]
    pictures = read_pictures(path)
    assert None not in {picture.number for picture in pictures}
    sound = read_sound(path)
    assert [gap for gap in sound.gaps if gap[1] > 0.03] == []
    # Each session counts its seconds from when it joined: beeps and flashes moved by that much.
    apart = (second - first) % 1.0
    for events in (beep_onsets(sound, tone_of(3)), flash_onsets(pictures)):
        pauses = [after - before for before, after in itertools.pairwise(events)]
        change = max(pauses, key=lambda pause: abs(pause - 1.0))
        assert abs((change - apart + 0.5) % 1.0 - 0.5) <= REAL_TIME, (events, apart)
