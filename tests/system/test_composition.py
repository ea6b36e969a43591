"""Composed recordings of a real room: what is seen and heard at each moment."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.publishers import DemoParticipant
from pyegress.lifecycle.recording import EndReason
from pyegress.room.events import Source
from tests.support.analysis import av_offsets, file_facts, flash_onsets, read_pictures, read_sound
from tests.support.composed import BLACK, pictures_of, read_looks
from tests.support.livekit_server import LiveKitServer
from tests.system.compositions import (
    CELLS,
    SMALL,
    TOLERANCE,
    WHOLE,
    assert_in_step,
    beeps,
    capture_offsets,
    mostly,
    participant,
    room,
    stretch,
)
from tests.system.scenes import access, clip, prepare, publishing, recorded, the_file

pytestmark = pytest.mark.system


async def test_a_participant_through_mute_and_a_change_of_codec(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """One H.264 file whatever is published; black while muted; sound and picture belong together throughout."""
    name = "composed-participant"
    prepare("ada", clip(Codec.H264))
    marks: dict[str, float] = {}
    async with (
        publishing(livekit_server, name) as ada,
        participant(livekit_server, name, tmp_path / "ada.mp4") as recording,
    ):
        await recorded(recording, 4.0)
        ada.mute(Source.CAMERA)
        marks["muted"] = recording.now.elapsed
        await recorded(recording, 6.5)
        marks["unmuted"] = recording.now.elapsed
        ada.unmute(Source.CAMERA)
        await recorded(recording, 9.5)
        marks["republished"] = recording.now.elapsed
        await ada.republish(Source.CAMERA, clip(Codec.H264))
        await recorded(recording, 13.0)
    path = the_file(recording.result)
    facts = file_facts(path)
    assert [(stream.kind, stream.codec) for stream in facts.streams] == [("video", "h264"), ("audio", "aac")]
    assert facts.streams[0].size == (640, 360)
    assert facts.duration == pytest.approx(recording.result.duration, abs=0.1)
    looks = read_looks(path, {"all": WHOLE})
    before = stretch(looks, 1.0, marks["muted"] - 0.3)
    dark = stretch(looks, marks["muted"] + 1.0, marks["unmuted"] - 0.3)
    after = stretch(looks, marks["unmuted"] + 1.5, marks["republished"] - 0.3)
    again = stretch(looks, marks["republished"] + 1.5, looks[-1].at)
    for part in (before, after, again):
        assert mostly([look.shows("all") == 3 for look in part])
        fresh = {look.stamps["all"] for look in part}
        assert len(fresh) >= 0.8 * len(part), "pictures stand still"
    assert mostly([look.brightness["all"] < BLACK for look in dark]), [look.brightness["all"] for look in dark]
    heard = beeps(path)
    assert len(heard) >= 11, heard  # the microphone was never muted
    for part in (before, [*after, *again]):
        assert_in_step(av_offsets(flash_onsets(pictures_of(part, "all")), heard), "sound after picture")


async def test_a_participant_leaves_and_a_turned_picture(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """A picture that becomes upright keeps its proportions; the file ends with the participant."""
    name = "composed-turned"
    prepare("ada", clip(size=(180, 320)))
    async with participant(livekit_server, name, tmp_path / "ada.mp4", grace=0.5) as recording:
        async with publishing(livekit_server, name) as ada:
            await recorded(recording, 3.0)
            await ada.resize((180, 320))
            turned = recording.now.elapsed
            await recorded(recording, 7.0)
        result = await recording.wait()
    assert result.reason is EndReason.SOURCE_CLOSED
    upright = (219.0, 0.0, 202.0, 360.0)
    looks = read_looks(the_file(result), {"all": WHOLE, "upright": upright, "left": (0.0, 0.0, 200.0, 360.0)})
    assert mostly([look.shows("all") == 3 for look in stretch(looks, 0.5, turned - 0.3)])
    later = stretch(looks, turned + 1.5, 7.0)
    assert mostly([look.shows("upright") == 3 for look in later])
    assert mostly([look.brightness["left"] < BLACK for look in later])
    assert result.duration == pytest.approx(7.3, abs=1.5)


async def test_two_tracks_by_id_and_one_of_the_wrong_kind(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name = "composed-tracks"
    async with publishing(livekit_server, name) as ada:
        sids = ada.sids
        arguments: dict[str, Any] = dict(access(livekit_server)) | SMALL
        pair = pyegress.record_track_composite(
            room=name,
            output=tmp_path / "pair.webm",
            video_track_id=sids[Source.CAMERA],
            audio_track_id=sids[Source.MICROPHONE],
            **arguments,
        )
        async with pair:
            await recorded(pair, 5.0)
            await ada.unpublish(Source.CAMERA)
            await ada.unpublish(Source.MICROPHONE)
            result = await pair.wait()
        assert result.reason is EndReason.SOURCE_CLOSED
        path = the_file(result)
        assert [stream.codec for stream in file_facts(path).streams] == ["vp8", "opus"]
        looks = read_looks(path, {"all": WHOLE})
        assert mostly([look.shows("all") == 3 for look in stretch(looks, 0.5, 4.5)])
        offsets = av_offsets(flash_onsets(pictures_of(looks, "all")), beeps(path))
        assert_in_step(offsets, "sound after picture")
        await ada.publish(Source.CAMERA)
        wrong = pyegress.record_track_composite(
            room=name,
            output=tmp_path / "wrong.mp4",
            audio_track_id=ada.sids[Source.CAMERA],
            **access(livekit_server),
        )
        async with wrong:
            refused = await wrong.wait()
    assert refused.error is not None
    assert "audio_track_id" in (refused.error.field or "")
    assert not refused.files


async def test_a_grid_of_three_codecs(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Everybody in their cell, mutually in step, everybody heard; one leaves, and the others go on."""
    name = "composed-grid"
    people = {"a": ("ada", Codec.VP8, 3), "b": ("bob", Codec.H264, 4), "c": ("cat", Codec.VP9, 5)}
    for who, codec, number in people.values():
        prepare(who, clip(codec, number))
    there: dict[str, DemoParticipant] = {}
    async with AsyncExitStack() as stack:
        for cell, (who, codec, number) in people.items():
            comes = publishing(livekit_server, name, who, clip(codec, number))
            there[cell] = await stack.enter_async_context(comes)
        recording = await stack.enter_async_context(room(livekit_server, name, tmp_path / "grid.mp4"))
        await recorded(recording, 7.0)
        await there["c"].leave()
        left = recording.now.elapsed
        await recorded(recording, 10.0)
    path = the_file(recording.result)
    looks = read_looks(path, CELLS)
    steady = stretch(looks, 1.5, left - 0.5)
    for cell, (who, _, number) in people.items():
        shown = [look.shows(cell) for look in steady]
        assert mostly([one == number for one in shown]), f"{who}: {shown}"
        numbers = {look.stamps[cell] for look in steady}
        assert len(numbers) >= 0.8 * len(steady), f"{who} stands still"
    assert all(look.brightness["d"] < BLACK for look in steady)
    lags = {cell: statistics.median(capture_offsets(steady, cell, there[cell])) for cell in people}
    assert max(lags.values()) - min(lags.values()) <= TOLERANCE, lags
    for cell, (who, _, number) in people.items():
        heard = beeps(path, number)
        assert len(heard) >= (8 if cell != "c" else 5), f"{who}: {heard}"
        offsets = av_offsets(flash_onsets(pictures_of(looks, cell)), heard)
        assert_in_step(offsets, f"sound after picture of {who}")
    # Two are left: beside each other, their sides cut, nobody below.
    two = {"left": (0.0, 0.0, 320.0, 360.0), "right": (320.0, 0.0, 320.0, 360.0)}
    for look in read_looks(path, two)[-10:]:
        assert min(look.brightness.values()) > BLACK + 20


async def test_speaker_screen_share_and_another_layout(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """A screen share makes a grid a speaker layout; UpdateLayout changes it live."""
    name = "composed-share"
    prepare("bob", clip(Codec.VP8, 4))
    async with (
        publishing(livekit_server, name) as ada,
        publishing(livekit_server, name, "bob", clip(Codec.VP8, 4)),
        room(livekit_server, name, tmp_path / "share.mp4") as recording,
    ):
        await recorded(recording, 3.0)
        shared = recording.now.elapsed
        await ada.publish(Source.SCREEN_SHARE, clip(Codec.VP8, 9))
        await recorded(recording, 7.0)
        await ada.unpublish(Source.SCREEN_SHARE)
        changed = recording.now.elapsed
        (us,) = [one.identity for one in await livekit_server.participants(name) if one.permission.recorder]
        await livekit_server.update_participant(name, us, metadata='{"layout": "single-speaker"}')
        await recorded(recording, 11.0)
    path = the_file(recording.result)
    # The picture is 16:9 in a taller box: centred, bars above and below.
    height = 533.33 * 9 / 16
    regions = {"main": (106.67, (360 - height) / 2, 533.33, height), "all": WHOLE}
    looks = read_looks(path, regions)
    assert mostly([look.shows("main") == 9 for look in stretch(looks, shared + 2.0, changed - 0.3)])
    assert mostly([look.shows("all") in (3, 4) for look in stretch(looks, changed + 2.0, 10.5)])


async def test_everybody_by_sound_alone(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    name = "composed-sound"
    async with (
        publishing(livekit_server, name, "ada", clip(participant=3), video=False),
        publishing(livekit_server, name, "bob", clip(participant=4), video=False),
        room(livekit_server, name, tmp_path / "mix.ogg", audio_only=True, width=None, height=None) as mix,
        room(livekit_server, name, tmp_path / "film.mp4") as film,
    ):
        await recorded(mix, 6.0)
        await recorded(film, 6.0)
    for path in (the_file(mix.result), the_file(film.result)):
        sound = read_sound(path)
        assert sound.gaps == ()
        for number in (3, 4):
            heard = beeps(path, number)
            assert len(heard) >= 5, f"{path.name}: {heard}"
            pauses = [after - before for before, after in pairwise(heard)]
            assert all(pause == pytest.approx(1.0, abs=0.05) for pause in pauses), pauses
    assert [stream.codec for stream in file_facts(the_file(mix.result)).streams] == ["opus"]
    assert all(picture.number is None and not picture.lit for picture in read_pictures(the_file(film.result)))
