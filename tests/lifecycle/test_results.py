"""Outcomes of segments, images and streams as EgressInfo has them; files are in test_egress."""

from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.lifecycle.egress import report_streams
from pyegress.lifecycle.outcome import ImagesOutcome, Outcome, SegmentsOutcome, StreamOutcome, StreamStatus
from pyegress.lifecycle.recording import EndReason
from pyegress.lifecycle.results import write_results

pytestmark = pytest.mark.unit

AT = Wall(1_700_000_000.5)
NS = 1_700_000_000_500_000_000
SENT = StreamOutcome("rtmp://h/a/{k...y}", StreamStatus.FINISHED, "one", "", AT, Wall(AT + 2.0), 1, Wall(AT + 1.0))
WAITS = StreamOutcome("rtmp://h/b/{k...y}", StreamStatus.ACTIVE)


def test_numbers_are_those_of_the_protocol() -> None:
    for status in StreamStatus:
        assert pb.StreamInfo.Status.Value(status.name) == status.value


def test_every_kind() -> None:
    info = pb.EgressInfo()
    segments = SegmentsOutcome("d/a.m3u8", "d/live.m3u8", "/d/a.m3u8", "/d/live.m3u8", 3, 900, AT, 12.0)
    images = ImagesOutcome("d/i", 7, AT, Wall(AT + 30.0))
    outcome = Outcome(EndReason.STOPPED, segments=(segments,), images=(images,), streams=(SENT,))
    assert outcome.made
    write_results(info, outcome)
    (hls,) = info.segment_results
    assert (hls.playlist_name, hls.live_playlist_name, hls.segment_count, hls.size) == (
        "d/a.m3u8",
        "d/live.m3u8",
        3,
        900,
    )
    assert (hls.playlist_location, hls.live_playlist_location) == ("/d/a.m3u8", "/d/live.m3u8")
    assert (hls.started_at, hls.duration, hls.ended_at) == (NS, 12 * 10**9, NS + 12 * 10**9)
    (pictures,) = info.image_results
    assert (pictures.filename_prefix, pictures.image_count) == ("d/i", 7)
    assert (pictures.started_at, pictures.ended_at) == (NS, NS + 30 * 10**9)
    (stream,) = info.stream_results
    assert (stream.url, stream.id, stream.status) == (SENT.url, "one", pb.StreamInfo.FINISHED)
    assert (stream.started_at, stream.ended_at, stream.duration) == (NS, NS + 2 * 10**9, 2 * 10**9)
    assert (stream.retries, stream.last_retry_at) == (1, NS + 10**9)
    assert info.WhichOneof("result") is None, "only for requests with one kind of output"


def test_streams_alone_are_told_while_they_run() -> None:
    info = pb.EgressInfo(status=pb.EGRESS_ACTIVE, updated_at=1)
    told = report_streams(info, (SENT, WAITS), AT)
    assert told.status == pb.EGRESS_ACTIVE
    assert [stream.url for stream in told.stream_results] == [SENT.url, WAITS.url]
    assert told.stream_results[1].started_at == 0
    assert list(told.stream.info) == list(told.stream_results)
    assert not info.stream_results


def test_a_stream_that_never_began_is_nothing_made() -> None:
    assert not Outcome(EndReason.STOPPED, streams=(WAITS,)).made
