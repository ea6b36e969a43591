"""WebM and Matroska (RFC 9559) with VP8, VP9, AV1 and Opus: clusters of known size in a segment of unknown size.

Each batch is one cluster and one write. Closing appends the cues and patches duration, seek head and segment size in
place; the file plays between any two of these steps.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pyegress.clock import Wall
from pyegress.codecs import Codec, Kind
from pyegress.outputs import ebml
from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.outputs.opus import CLOCK_RATE, CONVERGENCE, OPUS_HEAD_CHANNELS, opus_head
from pyegress.outputs.webm_cues import SEEK_HEAD_BYTES, Cues, seek_head
from pyegress.rtp.codec_config import av1_config, av1_sequence_header
from pyegress.rtp.errors import ProtocolError

_APPLICATION = "pyegress"
_CODEC_IDS = {Codec.VP8: "V_VP8", Codec.VP9: "V_VP9", Codec.AV1: "V_AV1", Codec.OPUS: "A_OPUS"}
#: BT.709 everywhere, limited range (RFC 9559 section 5.1.4.1.28.16); VP8 has no other place to say so.
_BT709 = ebml.element(
    ebml.COLOUR,
    *(
        ebml.unsigned(name, 1)
        for name in (
            ebml.MATRIX_COEFFICIENTS,
            ebml.COLOUR_RANGE,
            ebml.TRANSFER_CHARACTERISTICS,
            ebml.PRIMARIES,
        )
    ),
)
#: Block timestamps are signed 16-bit milliseconds from their cluster's (RFC 9559 section 10.2).
_MAX_OFFSET = 0x7FFF
_KEYFRAME = 0x80
#: Matroska dates count nanoseconds from 2001-01-01 UTC.
_MATROSKA_EPOCH = Wall(978_307_200.0)


class WebmMuxer:
    """Writes any streams that WebM can hold; timestamps are milliseconds, rounded from the codec's ticks."""

    def __init__(self, file: GrowingFile, specs: Sequence[StreamSpec], header: FileHeader, *, webm: bool) -> None:
        self._file = file
        self._rates = [spec.clock_rate for spec in specs]
        self._primings = [spec.priming * 1000 // spec.clock_rate for spec in specs]
        self._cues = Cues([spec.codec.kind is Kind.VIDEO for spec in specs])
        self._last_ms = [-1] * len(specs)
        self._end_ms = 0
        self._cluster_ms = 0
        self._channel_patches: dict[int, tuple[int, int]] = {}
        self._positions: dict[bytes, int] = {}
        start = bytearray(_ebml_header("webm" if webm else "matroska"))
        start += ebml.SEGMENT
        self._segment_size_at = len(start)
        start += ebml.UNKNOWN_SIZE
        self._segment = len(start)
        start += bytes(SEEK_HEAD_BYTES)
        self._add_info(start, header)
        self._add_tracks(start, specs)
        if header.metadata:
            self._positions[ebml.TAGS] = len(start) - self._segment
            start += _tags(header)
        start[self._segment : self._segment + SEEK_HEAD_BYTES] = seek_head(self._positions)
        file.append(start)

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        blocks: list[tuple[int, int, Sample]] = []
        end = self._end_ms
        for stream, samples in enumerate(batch):
            rate = self._rates[stream]
            for sample in samples:
                # Rounding must not give two frames of a stream the same millisecond.
                at = max((sample.pts * 1000 + rate // 2) // rate, self._last_ms[stream] + 1)
                self._last_ms[stream] = at
                blocks.append((at, stream, sample))
                end = max(end, at + sample.duration * 1000 // rate - self._primings[stream])
        blocks.sort(key=lambda block: block[0])
        first = 0
        while first < len(blocks):
            first = self._write_cluster(blocks, first)
        self._end_ms = end
        self._file.patch(self._duration_at, struct.pack(">d", float(end)))

    def widen(self, stream: int) -> None:
        for at in self._channel_patches[stream]:
            self._file.patch(at, b"\x02")

    def finish(self) -> None:
        # The order matters: whatever is there already plays, at any step.
        self._positions[ebml.CUES] = self._file.size - self._segment
        self._file.append(self._cues.element())
        self._file.patch(self._segment, seek_head(self._positions))
        self._file.patch(self._segment_size_at, ebml.long_size_of(self._file.size - self._segment))

    def _write_cluster(self, blocks: list[tuple[int, int, Sample]], first: int) -> int:
        """Write the blocks from `first` on as far as their timestamps fit; return the index behind them."""
        start = blocks[first][0]
        if start < self._cluster_ms and self._cluster_ms - start <= _MAX_OFFSET:
            start = self._cluster_ms  # cluster timestamps never go back; blocks before them have negative offsets
        body = bytearray(ebml.unsigned(ebml.TIMESTAMP, start))
        cues: list[tuple[int, int, int]] = []
        index = first
        for at, stream, sample in blocks[first:]:
            if at - start > _MAX_OFFSET:
                break
            if self._cues.wants(at, stream, keyframe=sample.keyframe, have_one=bool(cues)):
                cues.append((at, stream, len(body)))
            body += ebml.SIMPLE_BLOCK
            body += ebml.size_of(len(sample.payload) + 4)
            body += struct.pack(">BhB", 0x80 | stream + 1, at - start, _KEYFRAME if sample.keyframe else 0)
            body += sample.payload
            index += 1
        position = self._file.append(b"".join((ebml.CLUSTER, ebml.size_of(len(body)), body))) - self._segment
        self._cluster_ms = start
        for at, stream, offset in cues:
            self._cues.add(at, stream, position, offset)
        return index

    def _add_info(self, start: bytearray, header: FileHeader) -> None:
        self._positions[ebml.INFO] = len(start) - self._segment
        content = ebml.unsigned(ebml.TIMESTAMP_SCALE, 1_000_000)
        content += ebml.text(ebml.MUXING_APP, _APPLICATION) + ebml.text(ebml.WRITING_APP, _APPLICATION)
        content += ebml.element(ebml.DATE_UTC, struct.pack(">q", round((header.created - _MATROSKA_EPOCH) * 1e9)))
        if "title" in header.metadata:
            content += ebml.text(ebml.TITLE, header.metadata["title"])
        start += ebml.element(ebml.INFO, content, ebml.double(ebml.DURATION, 0.0))
        self._duration_at = len(start) - 8

    def _add_tracks(self, start: bytearray, specs: Sequence[StreamSpec]) -> None:
        self._positions[ebml.TRACKS] = len(start) - self._segment
        entries = [_track_entry(number + 1, spec) for number, spec in enumerate(specs)]
        start += ebml.TRACKS + ebml.size_of(sum(map(len, entries)))
        for number, entry in enumerate(entries):
            if specs[number].codec is Codec.OPUS:
                head = len(start) + entry.rindex(b"OpusHead") + OPUS_HEAD_CHANNELS
                # Audio comes last in the entry, and Channels last in Audio.
                self._channel_patches[number] = (head, len(start) + len(entry) - 1)
            start += entry


def _ebml_header(doc_type: str) -> bytes:
    return ebml.element(
        ebml.EBML,
        ebml.unsigned(ebml.EBML_VERSION, 1),
        ebml.unsigned(ebml.EBML_READ_VERSION, 1),
        ebml.unsigned(ebml.EBML_MAX_ID_LENGTH, 4),
        ebml.unsigned(ebml.EBML_MAX_SIZE_LENGTH, 8),
        ebml.text(ebml.DOC_TYPE, doc_type),
        ebml.unsigned(ebml.DOC_TYPE_VERSION, 4),
        ebml.unsigned(ebml.DOC_TYPE_READ_VERSION, 2),
    )


def _track_entry(number: int, spec: StreamSpec) -> bytes:
    content = ebml.unsigned(ebml.TRACK_NUMBER, number) + ebml.unsigned(ebml.TRACK_UID, number)
    content += ebml.unsigned(ebml.TRACK_TYPE, 1 if spec.codec.kind is Kind.VIDEO else 2)
    content += ebml.unsigned(ebml.FLAG_LACING, 0) + ebml.text(ebml.LANGUAGE, spec.language)
    if spec.title:
        content += ebml.text(ebml.TRACK_NAME, spec.title)
    content += ebml.text(ebml.CODEC_ID, _CODEC_IDS[spec.codec])
    if spec.codec is Codec.OPUS:
        channels = spec.channels
        content += ebml.element(ebml.CODEC_PRIVATE, opus_head(channels, spec.priming))
        content += ebml.unsigned(ebml.CODEC_DELAY, spec.priming * 1_000_000_000 // CLOCK_RATE)
        content += ebml.unsigned(ebml.SEEK_PRE_ROLL, CONVERGENCE * 1_000_000_000 // CLOCK_RATE)
        rate = ebml.double(ebml.SAMPLING_FREQUENCY, float(CLOCK_RATE))
        content += ebml.element(ebml.AUDIO, rate, ebml.unsigned(ebml.CHANNELS, channels))
        return ebml.element(ebml.TRACK_ENTRY, content)
    if spec.codec is Codec.AV1:
        sequence = av1_sequence_header(spec.first.payload)
        if sequence is None:
            raise ProtocolError("the first key frame has no sequence header")
        content += ebml.element(ebml.CODEC_PRIVATE, av1_config(sequence))
    width, height = spec.pixels
    content += ebml.element(
        ebml.VIDEO,
        ebml.unsigned(ebml.PIXEL_WIDTH, width),
        ebml.unsigned(ebml.PIXEL_HEIGHT, height),
        _BT709 if spec.bt709 else b"",
    )
    return ebml.element(ebml.TRACK_ENTRY, content)


def _tags(header: FileHeader) -> bytes:
    tags = [
        ebml.element(ebml.SIMPLE_TAG, ebml.text(ebml.TAG_NAME, name.upper()), ebml.text(ebml.TAG_STRING, value))
        for name, value in header.metadata.items()
    ]
    return ebml.element(ebml.TAGS, ebml.element(ebml.TAG, ebml.element(ebml.TARGETS), *tags))
