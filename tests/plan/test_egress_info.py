from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.plan.egress_info import copy_single_result, name_results, starting_info
from pyegress.plan.file_names import resolve_names
from pyegress.plan.form import EgressRequest
from tests.plan.requests import FILE, NOW, RTMP, composite, participant, planned, room, track, v2, v2_file

pytestmark = pytest.mark.unit

SEGMENTS = pb.SegmentedFileOutput(playlist_name="p", live_playlist_name="l")


def info_of(request: EgressRequest) -> pb.EgressInfo:
    return starting_info(planned(request), request)


@pytest.mark.parametrize(
    ("request_", "member", "source_type"),
    [
        (room(FILE), "room_composite", pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK),
        (room(FILE, custom_base_url="https://t/"), "room_composite", pb.EgressSourceType.EGRESS_SOURCE_TYPE_WEB),
        (pb.WebEgressRequest(url="https://t/", file_outputs=[FILE]), "web", pb.EgressSourceType.EGRESS_SOURCE_TYPE_WEB),
        (participant(FILE), "participant", pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK),
        (composite(FILE), "track_composite", pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK),
        (track("a"), "track", pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK),
        (v2(v2_file()), "egress", pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK),
    ],
)
def test_an_accepted_request(request_: EgressRequest, member: str, source_type: pb.EgressSourceType) -> None:
    info = info_of(request_)
    assert info.WhichOneof("request") == member
    assert getattr(info, member) == request_
    assert info.source_type == source_type
    assert (info.egress_id, info.room_id, info.status) == ("EG_1", "RM_1", pb.EgressStatus.EGRESS_STARTING)
    assert info.room_name == ("" if member == "web" else "standup")
    assert info.started_at == info.updated_at == round(NOW * 1000) * 1_000_000
    assert info.ended_at == 0


def test_the_names_of_every_result() -> None:
    request = room(
        FILE,
        stream_outputs=[pb.StreamOutput(urls=[RTMP, "rtmps://u:hidden@host/app/streamkey?k=hidden"])],
        segment_outputs=[SEGMENTS],
        image_outputs=[pb.ImageOutput(filename_prefix="i"), pb.ImageOutput(filename_prefix="j")],
    )
    info = info_of(request)
    assert [file.filename for file in info.file_results] == ["a.mp4"]
    assert [(s.playlist_name, s.live_playlist_name) for s in info.segment_results] == [("p.m3u8", "l.m3u8")]
    assert [image.filename_prefix for image in info.image_results] == ["i", "j"]
    assert [stream.url for stream in info.stream_results] == [
        "rtmp://host/app/{str...key}",
        "rtmps://{...}@host/app/{str...key}?k={...}",
    ]
    assert all(stream.status == pb.StreamInfo.Status.ACTIVE for stream in info.stream_results)
    assert info.WhichOneof("result") is None
    assert "hidden" not in str(info)
    assert "streamkey" not in str(info)


def test_an_automatic_image_name_is_told() -> None:
    assert info_of(room(image_outputs=[pb.ImageOutput()])).image_results[0].filename_prefix.startswith("standup-")


@pytest.mark.parametrize(
    ("request_", "member"),
    [
        (room(FILE), "file"),
        (room(segment_outputs=[SEGMENTS]), "segments"),
        (room(stream_outputs=[pb.StreamOutput(urls=[RTMP])]), "stream"),
        (track(websocket_url="wss://host/?t=hidden"), "stream"),
        (room(image_outputs=[pb.ImageOutput()]), None),
        (room(FILE, segment_outputs=[SEGMENTS]), None),
        (room(FILE, stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.RTMP)]), "file"),
    ],
)
def test_the_older_result(request_: EgressRequest, member: str | None) -> None:
    assert info_of(request_).WhichOneof("result") == member


def test_the_older_result_goes_with_the_newer_ones() -> None:
    info = info_of(room(FILE))
    info.file_results[0].size = 7
    copy_single_result(info)
    assert (info.file.filename, info.file.size) == ("a.mp4", 7)
    info.stream_results.add(url="rtmp://later")
    copy_single_result(info)
    assert info.WhichOneof("result") is None


def test_names_are_written_again_after_joining() -> None:
    request = room(pb.EncodedFileOutput(filepath="{publisher_identity}"))
    plan = planned(request)
    info = starting_info(plan, request)
    info.file_results[0].size = 7
    assert info.file_results[0].filename == "{publisher_identity}.mp4"
    name_results(info, resolve_names(plan, {"publisher_identity": "bob"}))
    assert [(file.filename, file.size) for file in info.file_results] == [("bob.mp4", 7)]


def test_destinations_keep_their_ids() -> None:
    target = pb.StreamDestination(id="main", url=RTMP)
    info = info_of(v2(pb.Output(stream=pb.StreamOutput(destinations=[target]))))
    assert [(stream.id, stream.url) for stream in info.stream_results] == [("main", "rtmp://host/app/{str...key}")]
    assert info.stream.info == info.stream_results
