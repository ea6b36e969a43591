from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.cli.egress_rows import COLUMNS, row
from pyegress.clock import Wall

pytestmark = pytest.mark.unit

S = pb.EgressStatus
SECOND = 1_000_000_000


def test_one_that_waits() -> None:
    info = pb.EgressInfo(
        egress_id="EG_1",
        room_name="standup",
        status=S.EGRESS_STARTING,
        started_at=100 * SECOND,
        details="Waiting for alice; in the room: bob",
        participant=pb.ParticipantEgressRequest(room_name="standup"),
        file_results=[pb.FileInfo(filename="alice.mp4")],
    )
    shown = row(info, Wall(161.5))
    assert shown.cells == (
        *("EG_1", "STARTING", "0:01:01", "standup", "participant", "alice.mp4", ""),
        "Waiting for alice; in the room: bob",
    )
    assert len(shown.cells) == len(COLUMNS)


def test_one_that_has_ended_shows_what_became_of_it() -> None:
    info = pb.EgressInfo(
        egress_id="EG_1",
        status=S.EGRESS_FAILED,
        started_at=100 * SECOND,
        ended_at=190 * SECOND,
        details="End reason: Failure",
        error="disk full",
        room_composite=pb.RoomCompositeEgressRequest(),
        file_results=[pb.FileInfo(filename="a.mp4", location="/files/a.mp4", size=2_500_000, duration=83 * SECOND)],
        stream_results=[
            pb.StreamInfo(url="rtmp://a/{k...y}", status=pb.StreamInfo.Status.FAILED, retries=2),
            pb.StreamInfo(url="rtmp://b/{k...y}"),
        ],
        segment_results=[pb.SegmentsInfo(playlist_name="a.m3u8", segment_count=7, size=1_000_000)],
        image_results=[pb.ImagesInfo(filename_prefix="a_", image_count=3)],
    )
    shown = row(info, Wall(900.0))
    assert (shown.elapsed, shown.size, shown.details, shown.style) == ("0:01:23", "3.5 MB", "disk full", "red")
    assert shown.outputs == (
        "/files/a.mp4",
        "a.m3u8 (7 segments)",
        "a_* (3 images)",
        "rtmp://a/{k...y} (failed), tried again 2 times",
        "rtmp://b/{k...y}",
    )
