from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.errors import InvalidRequest
from pyegress.plan.containers import KNOWN_EXTENSIONS, Container, Live
from pyegress.plan.encodings import AudioCodec, EncodingWish, VideoCodec
from pyegress.plan.negotiation import FileChoice, FileType, negotiate

pytestmark = pytest.mark.unit


def test_the_table_of_what_is_encoded_into_what() -> None:
    rows = {output.name: output.takes for output in Container} | {output.name: output.value for output in Live}
    assert {name: (row.name, row.audio[0], row.video[0] if row.video else None) for name, row in rows.items()} == {
        "MP4": ("video/mp4", AudioCodec.AAC, VideoCodec.H264),
        "WEBM": ("video/webm", AudioCodec.OPUS, VideoCodec.VP8),
        "OGG": ("audio/ogg", AudioCodec.OPUS, None),
        "WAV": ("audio/wav", AudioCodec.PCM, None),
        "MP3": ("audio/mpeg", AudioCodec.MP3, None),
        "FLAC": ("audio/flac", AudioCodec.FLAC, None),
        "HLS": ("application/x-mpegurl", AudioCodec.AAC, VideoCodec.H264),
        "HLS_FMP4": ("application/x-mpegurl", AudioCodec.AAC, VideoCodec.H264),
        "RTMP": ("rtmp", AudioCodec.AAC, VideoCodec.H264),
        "SRT": ("srt", AudioCodec.AAC, VideoCodec.H264),
        "WEBSOCKET": ("websocket", AudioCodec.PCM, None),
    }
    others = {".raw", ".ivf", ".ts", ".m3u8", ".jpeg"}
    assert {".ogg", ".mp3", ".mp4", ".webm", ".wav", ".flac"} | others == KNOWN_EXTENSIONS


def test_containers_of_sound_take_no_pictures() -> None:
    for container in Container:
        assert container.value.audio_only is not bool(container.takes.video)


@given(
    st.sampled_from([(True, True), (True, False), (False, True)]),
    st.none() | st.sampled_from(AudioCodec),
    st.none() | st.sampled_from(VideoCodec),
    st.none() | st.builds(FileChoice, st.sampled_from(FileType), st.none() | st.sampled_from(Container)),
    st.lists(st.sampled_from(Live), max_size=2, unique=True),
    st.sampled_from([VideoCodec.VP8, VideoCodec.VP9, VideoCodec.AV1]),
)
@settings(max_examples=300, derandomize=True)
def test_every_output_takes_what_is_chosen(
    kinds: tuple[bool, bool],
    audio_codec: AudioCodec | None,
    video_codec: VideoCodec | None,
    file: FileChoice | None,
    live: list[Live],
    webm_codec: VideoCodec,
) -> None:
    audio, video = kinds
    wish = EncodingWish(audio_codec=audio_codec, video_codec=video_codec)
    try:
        chosen = negotiate(audio=audio, video=video, wish=wish, file=file, live=live, webm_codec=webm_codec)
    except InvalidRequest:
        return
    rows = [output.value for output in live]
    if file:
        assert chosen.container is not None
        assert chosen.container is file.type.value or file.type is FileType.DEFAULT
        rows.append(chosen.container.takes)
    else:
        assert chosen.container is None
    assert (chosen.audio is not None, chosen.video is not None) == kinds
    for row in rows:
        assert chosen.audio is None or chosen.audio in row.audio
        assert chosen.video is None or chosen.video in row.video
    forced = {Live.RTMP, Live.SRT, Live.WEBSOCKET} & set(live)
    if audio_codec and audio and not forced:
        assert chosen.audio is audio_codec
    if video_codec and video and not forced:
        assert chosen.video is video_codec


def test_the_order_of_outputs_does_not_matter_to_what_fits() -> None:
    for first, second in product(Live, repeat=2):
        outcomes = set()
        for live in ([first, second], [second, first]):
            try:
                chosen = negotiate(audio=True, video=False, wish=EncodingWish(), file=None, live=live)
                outcomes.add(str(chosen.audio))
            except InvalidRequest:
                outcomes.add("refused")
        assert len(outcomes) == 1, (first, second)


@pytest.mark.parametrize("codec", [VideoCodec.VP8, VideoCodec.VP9, VideoCodec.AV1])
def test_open_codecs_go_into_webm(codec: VideoCodec) -> None:
    chosen = negotiate(
        audio=True,
        video=True,
        wish=EncodingWish(video_codec=codec),
        file=FileChoice(FileType.DEFAULT, None),
        live=[],
    )
    assert (chosen.container, chosen.audio, chosen.video) == (Container.WEBM, AudioCodec.OPUS, codec)
