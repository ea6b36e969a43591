from __future__ import annotations

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.plan.output_words import FileWord, HlsWord, ImagesWord, OutputWord, StreamWord, add_output, parse_output
from pyegress.plan.recording_plan import NameSuffix, SegmentFormat
from pyegress.plan.stream_urls import StreamProtocol

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("talk.mp4", FileWord("talk.mp4")),
        ("", FileWord("")),
        ("./hls:odd?name", FileWord("./hls:odd?name")),
        ("C:talk", FileWord("C:talk")),
        ("hls:www/talk.m3u8", HlsWord("www/talk.m3u8")),
        (
            "hls:talk?duration=2s&format=fmp4&live=now&suffix=timestamp",
            HlsWord("talk", "now.m3u8", 2, SegmentFormat.FMP4, NameSuffix.TIMESTAMP),
        ),
        ("hls:talk?part=0.5&duration=1m", HlsWord("talk", "", 60, SegmentFormat.FMP4, part=0.5)),
        ("images:shots/", ImagesWord("shots/")),
        ("images:me@home", ImagesWord("me@home")),
        ("images:me@home/x@5s", ImagesWord("me@home/x", 5)),
        ("images:x.png@2m?size=640x0&suffix=none", ImagesWord("x.png", 120, 640, 0, NameSuffix.NONE)),
        ("images:x.jpg?every=7", ImagesWord("x", 7)),
        ("rtmp://h/app/key", StreamWord("rtmp://h/app/key", StreamProtocol.RTMP)),
        ("SRT://h:9", StreamWord("SRT://h:9", StreamProtocol.SRT)),
    ],
)
def test_words(text: str, word: OutputWord) -> None:
    assert parse_output(text) == word


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("hls:", "names no playlist"),
        ("images:@5s", "names no files"),
        ("hls:a?duration=1.5", "duration=1.5 is no whole number of seconds"),
        ("hls:a?part=x", "part=x is no number of seconds"),
        ("hls:a?format=mp4", "format=mp4 is unknown"),
        ("hls:a?suffix=none", "suffix=none is unknown"),
        ("hls:a?", "has no option ''"),
        ("images:a?size=big", "'big' is no size"),
    ],
)
def test_mistakes_say_what_could_be_written(text: str, cause: str) -> None:
    with pytest.raises(InvalidRequest, match=cause) as caught:
        parse_output(text)
    assert caught.value.field == "output"
    assert caught.value.remedy


def test_words_become_outputs_of_a_request() -> None:
    request = pb.RoomCompositeEgressRequest()
    for text in ("a.mp4", "hls:b/c.m3u8?live=d", "images:e@3s", "images:f", "rtmp://h/a/1", "rtmps://h/a/2"):
        add_output(request, parse_output(text), {})
    assert [file.filepath for file in request.file_outputs] == ["a.mp4"]
    [hls] = request.segment_outputs
    assert (hls.playlist_name, hls.live_playlist_name) == ("b/c.m3u8", "d.m3u8")
    assert [(image.filename_prefix, image.capture_interval) for image in request.image_outputs] == [("e", 3), ("f", 0)]
    [stream] = request.stream_outputs
    assert list(stream.urls) == ["rtmp://h/a/1", "rtmps://h/a/2"]


def test_keys_of_streams_are_not_shown() -> None:
    assert "secret" not in repr(parse_output("rtmp://h/app/secret"))
