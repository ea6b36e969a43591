"""Packets as they were published in segments and streams, beside a file: the same frames, nothing encoded but sound."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from livekit.protocol import egress as pb

import pyegress
from pyegress.codecs import Codec
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.room.events import Source
from pyegress.service.egress_service import EgressStart
from tests.support.analysis import Packet, Picture, file_facts, read_packets, read_pictures
from tests.support.hls import read_playlist, stretches, whole
from tests.support.hls_player import hls_players
from tests.support.hls_player import why_unavailable as no_player
from tests.support.livekit_server import LiveKitServer
from tests.support.rtmp_server import RtmpServer, why_unavailable
from tests.support.srt_listener import SrtListener
from tests.support.srt_listener import why_unavailable as no_listener
from tests.support.waiting import eventually
from tests.system.compositions import TOLERANCE, beeps
from tests.system.scenes import CLIP, SMALL, access, clip, count, counted, finished, prepare, publishing, recorded
from tests.system.test_hls import watched
from tests.system.test_supervisor import node

missing = why_unavailable() or no_player() or no_listener()
pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(missing), reason=missing)]

LARGE = (480, 270)
KEY = "copiedstreamkey"
KINDS: tuple[Literal["video", "audio"], ...] = ("video", "audio")
#: Content with a key frame every four seconds, and half a second after one was asked for.
SPARSE = {"gop": 4, "phases": 8}


@pytest.fixture
def rtmp(tmp_path: Path) -> Iterator[RtmpServer]:
    with RtmpServer(tmp_path / "rtmp") as server:
        yield server


def without_repeats(packets: Sequence[Packet]) -> list[bytes]:
    """Without the key frames that stand in for a track that is muted."""
    kept: list[bytes] = []
    last_key = b""
    for packet in packets:
        if packet.keyframe and packet.data == last_key:
            continue
        if packet.keyframe:
            last_key = packet.data
        kept.append(packet.data)
    return kept


def is_published(packet: bytes) -> bool:
    """Whether it is no silence of ours."""
    return packet[1:] != b"\xff\xfe"


def is_part(packets: Sequence[bytes], of: Sequence[bytes]) -> bool:
    """Whether all of them are there, in their order."""
    rest = iter(of)
    return all(packet in rest for packet in packets)


def rising(pictures: Sequence[Picture]) -> list[int]:
    """Frame numbers as they count on, without those that stand in for a muted track."""
    numbers: list[int] = []
    for number in counted(list(pictures), CLIP):
        if not numbers or number > numbers[-1]:
            numbers.append(number)
    return numbers


async def test_a_file_segments_and_streams_of_the_same_packets(
    livekit_server: LiveKitServer, tmp_path: Path, rtmp: RtmpServer
) -> None:
    """H.264 that changes its size, is muted and comes back; a destination that refuses disturbs none of the others."""
    room, www, path = "copied-live", tmp_path / "www", tmp_path / "ada.mp4"
    content = clip(Codec.H264, **SPARSE)
    for size in (SMALL, LARGE):
        prepare("ada", clip(Codec.H264, size=size, **SPARSE))
    outputs: list[Path | str] = [
        path,
        f"hls:{www}/ada.m3u8?duration=1&format=fmp4&live=live",
        rtmp.url(KEY, "recorded"),
        "rtmp://127.0.0.1:9/live/badstreamkey",
    ]
    playlists = (www / "ada.m3u8", www / "live.m3u8")
    async with publishing(livekit_server, room, content=content) as ada, watched(*playlists) as seen:
        recording = pyegress.record_participant(
            room=room, identity="ada", output=outputs, copy=True, **access(livekit_server)
        )
        async with recording:
            await recorded(recording, 4.0)
            await ada.resize(LARGE)
            await recorded(recording, 6.5)
            ada.mute(Source.CAMERA)
            await recorded(recording, 9.0)
            ada.unmute(Source.CAMERA)
            await recorded(recording, 11.0)
    result = recording.result
    result.check()
    assert [stream.status for stream in result.streams] == [StreamStatus.FINISHED, StreamStatus.FAILED]
    assert "connection refused" in result.streams[1].error
    assert [text for text in result.warnings if "refused" not in text] == []

    # The file has everything, as it was published.
    file = [packet.data for packet in read_packets(path, "video")]
    (made,) = result.files
    assert made.path == path
    numbers = count(read_pictures(path))
    assert not numbers.reordered

    # The segments have the same packets, and pictures where there is sound.
    playlist = read_playlist(playlists[0])
    parts = stretches(playlists[0], tmp_path, "part.mp4")
    packets = [packet for part in parts for packet in read_packets(part, "video")]
    copied = without_repeats(packets)
    assert len(packets) > len(copied), "nothing stood in for the muted track"
    assert is_part(copied, file)
    assert len(copied) >= 0.8 * len(file)
    shown = [read_pictures(part) for part in parts]
    assert [{picture.size for picture in part} for part in shown] == [{SMALL}, {LARGE}]
    assert playlist.ended
    assert [segment.discontinuity for segment in playlist.segments].count(True) == 1
    assert next(segment for segment in playlist.segments if segment.map_uri).discontinuity
    # Key frames were asked for: by itself the content has one every four seconds.
    assert len(playlist.segments) >= 0.34 * sum(playlist.durations)
    assert playlist.target == max(int(duration + 0.5) for duration in playlist.durations)
    times = [packet.pts for packet in packets if packet.pts is not None]
    assert all(0 < later - earlier < 7.0 for earlier, later in pairwise(times))
    starts = [segment.at for segment in playlist.segments]
    reached = [start + length for start, length in zip(starts, playlist.durations, strict=True)]
    assert reached[:-1] == pytest.approx(starts[1:], abs=0.002)
    grown = [len(state.segments) for state in seen[playlists[0]]]
    assert grown == sorted(grown)
    assert len(set(grown)) >= 4
    (told,) = result.segments
    assert told.segment_count == len(playlist.segments)
    assert told.duration == pytest.approx(sum(playlist.durations), abs=0.001)

    # So has the stream, from a key frame on, in both sizes and with sound.
    (recording_of_server,) = rtmp.recordings(KEY)
    await eventually(lambda: len(read_packets(recording_of_server, "video")) > len(file) // 2, "the server has it")
    streamed = read_packets(recording_of_server, "video")
    assert streamed[0].keyframe
    assert streamed[0].pts == 0
    pictures = read_pictures(recording_of_server)
    assert {picture.size for picture in pictures} == {SMALL, LARGE}
    sent = rising(pictures)
    everything = set(rising(read_pictures(path)))
    assert len(sent) > 0.6 * len(everything)
    assert {facts.codec for facts in file_facts(recording_of_server).streams} == {"h264", "aac"}
    assert len(beeps(recording_of_server)) >= 5

    # And a browser plays the segments over the change and the pause.
    async with hls_players(www, tmp_path) as players:
        played = await players.play("ada.m3u8")
    assert (played.ended, played.errors, played.holes) == (True, [], [])
    assert played.duration == pytest.approx(sum(playlist.durations), abs=0.2)


async def test_opus_and_vp9_in_fragmented_mp4(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Nothing is encoded at all, and sound and picture lie as in the file, which sender reports have put in order."""
    room, www, path = "copied-vp9", tmp_path / "www", tmp_path / "pair"
    content = clip(Codec.VP9, dtx=False, **SPARSE)
    prepare("ada", content)
    async with publishing(livekit_server, room, content=content) as ada:
        recording = pyegress.record_track_composite(
            room=room,
            audio_track_id=ada.sids[Source.MICROPHONE],
            video_track_id=ada.sids[Source.CAMERA],
            output=[path, f"hls:{www}/pair.m3u8?duration=2&format=fmp4"],
            copy=True,
            **access(livekit_server),
        )
        async with recording:
            await recorded(recording, 6.5)
            await ada.leave()
            result = await finished(recording)
    result.check()
    (made,) = result.files
    joined = whole(www / "pair.m3u8", tmp_path / "joined.mp4")
    for kind in KINDS:
        ours, theirs = ([packet.data for packet in read_packets(place, kind)] for place in (joined, made.path))
        ours, theirs = (list(filter(is_published, packets)) for packets in (ours, theirs))
        # There, sound begins with the first picture, and what comes far too late on a busy machine is left out.
        assert is_part(ours, theirs), kind
        assert len(ours) >= 0.4 * len(theirs), (kind, len(ours), len(theirs))
    assert [facts.codec for facts in file_facts(joined).streams] == ["vp9", "opus"]
    pictures, filed = read_pictures(joined), read_pictures(made.path)
    begun = {picture.number: picture.at for picture in filed}
    # Where pictures lie against sound.
    offsets = [picture.at - begun[picture.number] for picture in pictures[10:40] if picture.number in begun]
    assert len(offsets) >= 20
    offset = statistics.median(offsets)
    theirs_at = beeps(made.path)
    misfits = [min(abs(heard - offset - at) for at in theirs_at) for heard in beeps(joined)]
    assert len(misfits) >= 3
    assert statistics.median(misfits) <= TOLERANCE


async def test_a_service_copies_to_transport_streams(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """MPEG-TS segments beside a file, and SRT that is added meanwhile, as requests ask for them."""
    room, egress_id = "copied-served", "EG_copied"
    content = clip(Codec.H264, **SPARSE)
    prepare("ada", content)
    request = pb.ParticipantEgressRequest(
        room_name=room,
        identity="ada",
        preset=pb.EncodingOptionsPreset.PASSTHROUGH,
        file_outputs=[pb.EncodedFileOutput(filepath="ada", disable_manifest=True)],
        segment_outputs=[pb.SegmentedFileOutput(filename_prefix="hls/s", playlist_name="hls/all", segment_duration=1)],
        stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.SRT)],
    )
    with SrtListener(tmp_path) as listener:
        async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room, content=content):
            await here.supervisor.start(EgressStart(egress_id, request))
            await here.recorded(egress_id, 2.0)
            await here.supervisor.update_stream(
                pb.UpdateStreamRequest(egress_id=egress_id, add_output_urls=[f"{listener.url}?latency=60"])
            )
            await here.recorded(egress_id, 7.0)
            await here.supervisor.stop(egress_id)
            info = await here.ended(egress_id)
        listener.stop()
    assert status_of(info) is EgressStatus.COMPLETE, info.error
    folder = tmp_path / "files"
    (file,), (segments,), (stream,) = info.file_results, info.segment_results, info.stream_results
    assert file.filename == "ada.mp4"
    assert (stream.status, stream.error) == (pb.StreamInfo.Status.FINISHED, "")
    playlist = read_playlist(folder / "hls" / "all.m3u8")
    assert playlist.ended
    assert segments.segment_count == len(playlist.segments) >= 3
    joined = whole(folder / "hls" / "all.m3u8", tmp_path / "joined.ts")
    assert len(rising(read_pictures(folder / "ada.mp4"))) > 60
    for path in (joined, listener.files[0]):
        facts = file_facts(path)
        assert {(one.kind, one.codec) for one in facts.streams} == {("video", "h264"), ("audio", "aac")}
        assert read_packets(path, "video")[0].keyframe
        numbers = count(read_pictures(path))
        assert not numbers.reordered
        assert numbers.last - numbers.first >= 30
        assert len(beeps(path)) >= 1
