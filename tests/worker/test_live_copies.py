"""Copies to segments and streams beside a file: who gets what, who is asked for key frames, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.errors import InvalidRequest
from pyegress.room.events import SenderReportSeen, Source
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import InPlace
from pyegress.worker.feed import Feed
from pyegress.worker.live_copies import LiveCopies
from tests.plan.requests import RTMP, participant, planned
from tests.worker.playing import at, publication
from tests.worker.playing import participant as somebody
from tests.worker.test_feed import Subscribed

pytestmark = pytest.mark.unit

FMP4 = pb.SegmentedFileOutput(
    filename_prefix="s", segment_duration=2, protocol=pb.SegmentedFileProtocol.HLS_FMP4_PROTOCOL
)
STREAM = pb.StreamOutput(urls=[RTMP])


class Target:
    """A `TrackTarget` that counts."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []

    def begin_stream(self, feed: Feed, codec: Codec) -> None: ...

    def frame(self, feed: Feed, frame: EncodedFrame) -> None:
        self.frames.append(frame)

    def report(self, feed: Feed, report: SenderReportSeen) -> None: ...

    def end_stream(self, feed: Feed) -> None: ...


def copies(tmp_path: Path, *files: pb.EncodedFileOutput, **outputs: list[object]) -> LiveCopies:
    request = participant(*files, preset=pb.EncodingOptionsPreset.PASSTHROUGH, **outputs)
    return LiveCopies(planned(request), InPlace(str(tmp_path)), on_warning=lambda text: None)


def feed(live: LiveCopies, codec: Codec, target: Target | None = None) -> Feed:
    source = Source.CAMERA if codec.kind is Kind.VIDEO else Source.MICROPHONE
    track = publication(f"TR_{codec.name}", codec, source)
    return live.feed(somebody("alice", track), track, target or Target(), 0)


async def test_codecs_that_no_output_takes_are_refused(tmp_path: Path) -> None:
    segments, stream = copies(tmp_path, segment_outputs=[FMP4]), copies(tmp_path, stream_outputs=[STREAM])
    for taken in (Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.OPUS):
        feed(segments, taken)
    feed(stream, Codec.H264)
    # Sound is encoded for streams, whatever it is.
    feed(stream, Codec.PCMU)
    with pytest.raises(InvalidRequest) as refused:
        feed(segments, Codec.VP8)
    assert refused.value.message == (
        "Copies of VP8 do not fit into fMP4 segments, format application/x-mpegurl incompatible with codec video/vp8"
    )
    assert refused.value.field == "preset"
    assert refused.value.remedy.startswith("Publish AV1 or H.264 or H.265 or VP9, or use another preset")
    with pytest.raises(InvalidRequest, match="format rtmp incompatible with codec video/vp8"):
        feed(stream, Codec.VP8)
    with pytest.raises(InvalidRequest, match="incompatible with codec audio/pcmu"):
        feed(segments, Codec.PCMU)
    # A file takes what the others do not.
    feed(copies(tmp_path, pb.EncodedFileOutput(filepath="alice"), stream_outputs=[STREAM]), Codec.VP8)


async def test_publishers_are_asked_when_segments_are_due_and_when_somebody_begins(tmp_path: Path) -> None:
    live, target, subscribed = copies(tmp_path, segment_outputs=[FMP4]), Target(), Subscribed()
    camera = feed(live, Codec.H264, target)
    camera.subscription = subscribed
    for number in range(75):
        frame = EncodedFrame(Codec.H264, b"x", number * 3000, at(number / 30), keyframe=not number)
        camera.on_frame(frame)
        live.arrived(camera, frame)
    assert subscribed.asked == [at(number / 30) for number in range(60, 75)]
    assert len(target.frames) == 75
    live.request_keyframe()
    assert len(subscribed.asked) == 16
    live.track_over(camera)


async def test_what_the_engine_composes_and_what_it_does_not(tmp_path: Path) -> None:
    def sides(**outputs: list[object]) -> set[Kind]:
        made = copies(tmp_path, **outputs).sides(lambda kind, frame: None, want_keyframe=lambda: None)
        return set(made)

    assert sides(segment_outputs=[FMP4]) == set(Kind)
    assert sides(segment_outputs=[FMP4], stream_outputs=[STREAM]) == {Kind.VIDEO}


async def test_a_frame_goes_to_the_file_too(tmp_path: Path) -> None:
    live = copies(tmp_path, pb.EncodedFileOutput(filepath="alice"), segment_outputs=[FMP4])
    assert live.file is not None
    live.check_output()
    live.joined("standup", "RM_1")
    target = Target()
    microphone = feed(live, Codec.OPUS, target)
    microphone.on_stream(Codec.OPUS)
    packets = [
        EncodedFrame(Codec.OPUS, b"\xf8\xff\xfe", number * 960, Monotonic(100.0 + number / 50), duration=960)
        for number in range(50)
    ]
    for packet in packets:
        microphone.on_frame(packet)
    microphone.end()
    recorded = await live.file.finish()
    assert target.frames == packets
    (file,) = recorded.files
    assert (file.path.name, file.streams[0].frames) == ("alice.ogg", 50)
    assert not recorded.errors
