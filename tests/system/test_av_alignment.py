"""Sound and picture of one participant in one file: a beep belongs to its flash, whenever the tracks come."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.content import tone_of
from pyegress.demo.publishers import DemoParticipant
from pyegress.room.events import Source
from tests.support.analysis import av_offsets, beep_onsets, file_facts, flash_onsets, read_pictures, read_sound
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import clip, count, prepare, publishing, record, recorded, the_file
from tests.system.witness import Witness

pytestmark = pytest.mark.system

#: Seconds between sound and picture on a busy machine.
TOLERANCE = 0.06
#: Frames that a busy machine may cost.
FEW = 3


def file_offsets(path: Path, participant: int = 3) -> list[float]:
    """Seconds by which the beeps of a file come after its flashes."""
    return av_offsets(flash_onsets(read_pictures(path)), beep_onsets(read_sound(path), tone_of(participant)))


def assert_aligned(path: Path, claimed: Sequence[float], *, least: int) -> None:
    """Sound and picture belong together, or are as far apart as the publisher's own clock says they are."""
    offsets = file_offsets(path)
    assert len(offsets) >= least, f"{len(offsets)} pairs of flash and beep in {path.name}: {offsets}"
    error = abs(statistics.median(offsets))
    if claimed:
        error = min(error, abs(statistics.median(offsets) - statistics.median(claimed)))
    assert error <= TOLERANCE, f"recorded {offsets}, published {claimed}"


NAMES = {Codec.VP8: "ada", Codec.H264: "bob", Codec.VP9: "nina", Codec.AV1: "avi"}
SUFFIXES = {Codec.VP8: ".webm", Codec.H264: ".mp4", Codec.VP9: ".webm", Codec.AV1: ".mp4"}


@pytest.mark.parametrize("codecs", [(Codec.VP8, Codec.H264), (Codec.VP9, Codec.AV1)], ids=["VP8-H264", "VP9-AV1"])
async def test_beeps_belong_to_flashes(
    livekit_server: LiveKitServer, tmp_path: Path, codecs: tuple[Codec, Codec]
) -> None:
    room = f"aligned-{codecs[0].name}"
    for codec in codecs:
        prepare(NAMES[codec], clip(codec))
    publishers: list[DemoParticipant] = []
    long: list[pyegress.Recording] = []
    short: list[pyegress.Recording] = []
    async with Witness(livekit_server, room) as witness, AsyncExitStack() as stack:
        for codec in codecs:
            comes = publishing(livekit_server, room, NAMES[codec], clip(codec))
            publishers.append(await stack.enter_async_context(comes))
        for length, recordings in (("long", long), ("short", short)):
            for codec in codecs:
                recording = record(livekit_server, room, tmp_path / f"{length}-{codec.name}", NAMES[codec])
                recordings.append(await stack.enter_async_context(recording))
        for recording in short:
            # Over before any sender report comes.
            await recorded(recording, 2.2)
            recording.stop()
        for publisher in publishers:
            await witness.knows(publisher)
        for recording in long:
            await recorded(recording, 6.0)
    for codec, publisher, whole, piece in zip(codecs, publishers, long, short, strict=True):
        claimed = witness.offsets(publisher)
        assert the_file(whole.result).suffix == SUFFIXES[codec]
        assert_aligned(the_file(whole.result), claimed, least=3)
        assert_aligned(the_file(piece.result), claimed, least=1)


async def test_tracks_that_come_late(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "late"
    async with (
        publishing(livekit_server, room, "ada", audio=False) as mute,
        publishing(livekit_server, room, "bob", video=False) as blind,
        Witness(livekit_server, room) as witness,
        record(livekit_server, room, tmp_path / "mute", "ada") as of_mute,
        record(livekit_server, room, tmp_path / "blind", "bob") as of_blind,
    ):
        for recording in (of_mute, of_blind):
            await recorded(recording, 2.0)
        await mute.publish(Source.MICROPHONE)
        await blind.publish(Source.CAMERA)
        for recording in (of_mute, of_blind):
            await recorded(recording, 7.0)
        for publisher in (mute, blind):
            await witness.knows(publisher)
    for publisher, recording in ((mute, of_mute), (blind, of_blind)):
        path = the_file(recording.result)
        assert sorted(stream.kind for stream in file_facts(path).streams) == ["audio", "video"]
        assert_aligned(path, witness.offsets(publisher), least=3)


async def test_a_camera_that_is_published_again(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """The second publication goes on in the same file."""
    room = "aligned-again"
    async with (
        publishing(livekit_server, room) as ada,
        Witness(livekit_server, room) as witness,
        record(livekit_server, room, tmp_path / "file") as recording,
    ):
        await recorded(recording, 3.0)
        await ada.republish(Source.CAMERA)
        await recorded(recording, 8.0)
        await witness.knows(ada)
    path = the_file(recording.result)
    (video,) = (stream for stream in recording.result.files[0].streams if stream.kind == "video")
    assert len(video.track_ids) == 2
    claimed = witness.offsets(ada)
    assert_aligned(path, claimed, least=4)
    # The new publication by itself as well: the first must not hide it.
    pictures = read_pictures(path)
    second = next(after.at for before, after in pairwise(pictures) if after.at - before.at > 0.15)
    flashes = [at for at in flash_onsets(pictures) if at >= second]
    later = av_offsets(flashes, beep_onsets(read_sound(path), tone_of(3)))
    assert abs(statistics.median(later) - statistics.median(claimed)) <= TOLERANCE + 0.02, f"{later}, {claimed}"


async def test_a_camera_that_comes_back_with_another_codec(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "aligned-codecs"
    prepare("ada", clip(Codec.H264))
    async with (
        publishing(livekit_server, room) as ada,
        Witness(livekit_server, room) as witness,
        record(livekit_server, room, tmp_path / "file") as recording,
    ):
        await recorded(recording, 4.0)
        await ada.republish(Source.CAMERA, clip(Codec.H264))
        await recorded(recording, 9.0)
        await witness.knows(ada)
    recording.result.check()
    first, second = recording.result.files
    assert [file.path.name for file in (first, second)] == ["file.webm", "file-2.mp4"]
    claimed = witness.offsets(ada)
    for file, sid in zip((first, second), witness.sids("ada", Source.CAMERA), strict=True):
        assert witness.lost(file.path, sid).lost <= FEW
        assert_aligned(file.path, claimed, least=2)
        assert count(read_pictures(file.path)).duplicated == ()
    # One clock for both: nothing is in both of them, and nearly nothing in neither.
    assert -0.1 < second.start - first.end < 2.0
