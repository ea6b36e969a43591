"""Streams to a real RTMP server: beside a file, added and removed meanwhile, lost and found again, refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import dropwhile, pairwise
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

import pyegress
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.lifecycle.outcome import StreamStatus
from pyegress.plan.stream_urls import redact_url
from pyegress.service.config_reader import Seconds
from pyegress.service.config_sections import LimitsSection
from pyegress.service.egress_service import EgressStart
from tests.support.analysis import Picture, read_packets, read_pictures
from tests.support.livekit_server import LiveKitServer
from tests.support.rtmp_server import RtmpServer, why_unavailable
from tests.support.srt_listener import SrtListener
from tests.support.waiting import eventually
from tests.system.scenes import FPS, access, clip, count, prepare, publishing, recorded
from tests.system.test_supervisor import Node, node

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())]

FAILED, FINISHED, ACTIVE = pb.StreamInfo.Status.FAILED, pb.StreamInfo.Status.FINISHED, pb.StreamInfo.Status.ACTIVE
KEY, OTHER_KEY = "onestreamkey", "otherstreamkey"


@pytest.fixture
def rtmp(tmp_path: Path) -> Iterator[RtmpServer]:
    with RtmpServer(tmp_path / "rtmp") as server:
        yield server


def watching(room: str, *urls: str, file: str = "") -> pb.ParticipantEgressRequest:
    """One participant, as published but for the size: every stamp stays readable."""
    return pb.ParticipantEgressRequest(
        room_name=room,
        identity="ada",
        advanced=pb.EncodingOptions(width=320, height=180, framerate=30, key_frame_interval=2),
        stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.RTMP, urls=urls)],
        file_outputs=[pb.EncodedFileOutput(filepath=file)] if file else [],
    )


def shown(path: Path) -> list[Picture]:
    """The pictures from the first on that the participant sent: live outputs do not wait for it."""
    return list(dropwhile(lambda picture: picture.number is None, read_pictures(path)))


def check(pictures: list[Picture], seconds: float) -> None:
    """They count on for so long; the machine may be busy, and the publisher with it."""
    numbers = count(pictures)
    assert not numbers.reordered
    assert numbers.last - numbers.first > seconds * FPS
    assert len(numbers.missing) <= 0.25 * (numbers.last - numbers.first), numbers


async def stream(here: Node, egress_id: str, index: int, status: int) -> pb.StreamInfo:
    """The stream result at `index` when it has this status and, while active, has begun."""

    def found() -> bool:
        streams = here.last(egress_id).stream_results
        return (
            len(streams) > index
            and streams[index].status == status
            and (status == FAILED or streams[index].started_at > 0)
        )

    await eventually(lambda: here.told[egress_id] and found(), f"stream {index}: {here.told[egress_id][-1:]}", 40.0)
    return here.last(egress_id).stream_results[index]


async def test_streams_come_and_go_and_the_file_goes_on(
    livekit_server: LiveKitServer, tmp_path: Path, rtmp: RtmpServer
) -> None:
    room, egress_id = "streamed", "EG_streamed"
    prepare("ada", clip())
    good, other = rtmp.url(KEY, "recorded"), rtmp.url(OTHER_KEY, "recorded")
    bad = "rtmp://127.0.0.1:9/live/badstreamkey"
    async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room):
        await here.supervisor.start(EgressStart(egress_id, watching(room, good, bad, file="beside")))
        await stream(here, egress_id, 0, ACTIVE)
        refused = await stream(here, egress_id, 1, FAILED)
        assert "connection refused" in refused.error
        assert status_of(here.last(egress_id)) is EgressStatus.ACTIVE
        await here.recorded(egress_id, 2.5)

        update = pb.UpdateStreamRequest(
            egress_id=egress_id,
            add_destinations=[pb.StreamDestination(id="second", url=other)],
            add_output_urls=["srt://127.0.0.1:9000"],
            remove_output_urls=["rtmp://127.0.0.1/live/neverthere"],
        )
        with pytest.raises(EgressError) as partly:
            await here.supervisor.update_stream(update)
        assert partly.value.code is Code.INVALID_ARGUMENT
        lines = str(partly.value).splitlines()
        assert len(lines) == 2
        assert "invalid url" in lines[0]
        assert "stream not found" in lines[1]
        added = await stream(here, egress_id, 2, ACTIVE)
        assert added.id == "second"
        await here.recorded(egress_id, 4.5)

        await asyncio.to_thread(rtmp.kill)
        await asyncio.to_thread(rtmp.start)
        await eventually(
            lambda: all(here.last(egress_id).stream_results[index].retries for index in (0, 2)), "both were lost", 20.0
        )
        await eventually(lambda: len(rtmp.recordings(KEY)) == 2, "the stream is there again")
        await here.recorded(egress_id, 9.5)

        answer = await here.supervisor.update_stream(
            pb.UpdateStreamRequest(egress_id=egress_id, remove_output_urls=["second"])
        )
        assert [one.status for one in answer.stream_results][:2] == [ACTIVE, FAILED]
        removed = await stream(here, egress_id, 2, FINISHED)
        assert removed.ended_at > removed.started_at
        assert removed.duration == removed.ended_at - removed.started_at
        await here.supervisor.update_stream(pb.UpdateStreamRequest(egress_id=egress_id, remove_output_urls=[good]))
        await stream(here, egress_id, 0, FINISHED)
        assert status_of(here.last(egress_id)) is EgressStatus.ACTIVE
        await here.supervisor.stop(egress_id)
        info = await here.ended(egress_id)
        assert status_of(info) is EgressStatus.COMPLETE, info
    for told in here.told[egress_id]:
        assert not {KEY, OTHER_KEY, "badstreamkey"} & set(str(told).replace("/", " ").replace('"', " ").split())
    check(shown(tmp_path / "files" / "beside.mp4"), 7.0)
    for key in (KEY, OTHER_KEY):
        for recording in rtmp.recordings(key):
            first = read_packets(recording, "video")[0]
            assert first.keyframe
            assert first.pts == 0
            check(shown(recording), 1.0)
    assert len(rtmp.recordings(OTHER_KEY)) == 2
    keys = [packet.pts for packet in read_packets(rtmp.recordings(KEY)[1], "video") if packet.keyframe]
    # Those that were asked for are over: every two seconds, as the request says.
    late = [at for at in keys if at is not None and at > 1.0]
    assert len(late) >= 2
    assert [after - before for before, after in pairwise(late)] == pytest.approx([2.0] * (len(late) - 1), abs=0.02)


async def test_the_last_stream_decides_how_it_ends(
    livekit_server: LiveKitServer, tmp_path: Path, rtmp: RtmpServer
) -> None:
    """Refused: FAILED with what the server said. Removed: an ordinary end."""
    room = "streamed-alone"
    taken = rtmp.url(KEY)
    async with node(livekit_server, tmp_path) as here, publishing(livekit_server, room):
        await here.supervisor.start(EgressStart("EG_removed", watching(room, taken)))
        await stream(here, "EG_removed", 0, ACTIVE)
        await here.supervisor.start(EgressStart("EG_refused", watching(room, taken)))
        info = await here.ended("EG_refused")
        assert status_of(info) is EgressStatus.FAILED
        assert info.error_code == 503
        assert "Already publishing" in info.error
        assert KEY not in str(info)
        assert [one.status for one in info.stream_results] == [FAILED]
        assert info.stream_results[0].error == info.error
        await here.supervisor.update_stream(pb.UpdateStreamRequest(egress_id="EG_removed", remove_output_urls=[taken]))
        info = await here.ended("EG_removed")
        assert status_of(info) is EgressStatus.COMPLETE
        assert info.details == "End reason: All streams stopped"
        assert [one.status for one in info.stream_results] == [FINISHED]
        assert info.stream.info == info.stream_results


async def test_a_limit_ends_a_stream(livekit_server: LiveKitServer, tmp_path: Path, rtmp: RtmpServer) -> None:
    """The server gets what fits, in order to its end; the infos say why it is over."""
    room, url, limit = "streamed-limited", rtmp.url(KEY, "recorded"), 5.0
    limits = LimitsSection(stream_output_max_duration=Seconds(limit))
    async with node(livekit_server, tmp_path, session_limits=limits) as here, publishing(livekit_server, room):
        await here.supervisor.start(EgressStart("EG_limited", watching(room, url)))
        await stream(here, "EG_limited", 0, ACTIVE)
        info = await here.ended("EG_limited")
    assert status_of(info) is EgressStatus.LIMIT_REACHED
    assert (info.error, info.error_code) == ("Session limit reached", 413)
    (one,) = info.stream_results
    assert (one.status, one.error) == (FINISHED, "")
    assert one.url == redact_url(url)
    assert 0 < one.started_at < one.ended_at <= info.ended_at
    assert one.duration == one.ended_at - one.started_at
    assert one.duration > 1e9
    (path,) = rtmp.recordings(KEY)
    await eventually(lambda: "deleteStream" in rtmp.log_tail(), "the server has heard of the end in order")
    packets = read_packets(path, "video")
    last = packets[-1].pts
    assert last is not None
    assert last <= limit + 0.1
    check(shown(path), 1.0)


async def test_srt_in_the_foreground(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """A listener that vanishes and comes back gets the stream again; the file beside it knows nothing of that."""
    room = "streamed-srt"
    path = tmp_path / "beside.mp4"
    with SrtListener(tmp_path, passphrase="verysecretpassphrase") as listener:
        async with publishing(livekit_server, room):
            recording = pyegress.record_participant(
                room=room,
                identity="ada",
                output=[path, f"{listener.url}&latency=60"],
                width=320,
                height=180,
                key_frame_interval=2.0,
                **access(livekit_server),
            )
            async with recording:
                await recorded(recording, 2.0)
                await asyncio.to_thread(listener.kill)
                await asyncio.to_thread(listener.start)
                await eventually(lambda: recording.now.streams[0].retries, "it is noticed", 20.0)
                await eventually(lambda: listener.files[1].stat().st_size, "it is there again", 20.0)
                now = recording.now.elapsed
                await recorded(recording, now + 2.0)
                recording.stop()
                result = await recording.wait()
        listener.stop()
    result.check()
    (sent,) = result.streams
    assert (sent.status, sent.error) == (StreamStatus.FINISHED, "")
    assert "verysecret" not in str(result)
    check(shown(path), 4.0)
    # What srt-live-transmit had not written when it was killed is nowhere.
    again = listener.files[1]
    assert read_packets(again, "video")[0].keyframe
    check(shown(again), 1.0)
