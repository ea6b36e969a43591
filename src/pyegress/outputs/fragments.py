"""MP4 in pieces: the header that announces fragments, and a fragment (ISO/IEC 14496-12 section 8.8). Only bytes.

A fragment carries its own time (`tfdt`), so a stream that pauses or begins late needs nothing else. Files that grow and
segments of HLS are made of the same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pyegress.codecs import Codec, Kind
from pyegress.outputs import boxes
from pyegress.outputs.boxes import box, full_box
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.outputs.sample_entries import AUDIO_ENTRY_CHANNELS, OPUS_BOX_CHANNELS, mp4_sample, sample_entry

#: sample_flags (section 8.8.3.1): depends on no other; depends on others and is no sync sample.
_SYNC, _NOT_SYNC = 0x0200_0000, 0x0101_0000
_DEFAULT_BASE_IS_MOOF = 0x02_0000
_TRUN_OFFSET, _TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS = 0x001, 0x100, 0x200, 0x400
#: Tracks carry their own timescale, the stream's clock; the movie's is used for nothing while fragments grow.
_MOVIE_TIMESCALE = 1000


@dataclass(frozen=True, slots=True)
class MovieHeader:
    """`ftyp` and `moov`, and where in them the channels of Opus streams stand (one byte each), by stream."""

    data: bytes
    channel_places: dict[int, tuple[int, int]]


def movie_header(specs: Sequence[StreamSpec], header: FileHeader) -> MovieHeader:
    """What fragments follow. Raises ProtocolError when a first frame lacks what its sample entry repeats."""
    codecs = [spec.codec for spec in specs]
    start = bytearray(boxes.ftyp(set(codecs), fragmented=True))
    traks = [_trak(number + 1, spec, header) for number, spec in enumerate(specs)]
    mvhd = boxes.mvhd(header.created, _MOVIE_TIMESCALE, boxes.NO_DURATION, len(specs) + 1)
    trex = [full_box(b"trex", 0, 0, struct.pack(">5I", n + 1, 1, 0, 0, _SYNC)) for n in range(len(specs))]
    tail = box(b"mvex", *trex) + boxes.user_data(header.metadata)
    start += box(b"moov", mvhd, *traks, tail)
    at = len(start) - len(tail) - sum(map(len, traks))
    places: dict[int, tuple[int, int]] = {}
    for number, trak in enumerate(traks):
        if codecs[number] is Codec.OPUS:
            entry = at + trak.rindex(b"Opus") - 4
            places[number] = (entry + AUDIO_ENTRY_CHANNELS + 1, entry + OPUS_BOX_CHANNELS)
        at += len(trak)
    return MovieHeader(bytes(start), places)


def fragment(codecs: Sequence[Codec], batch: Sequence[Sequence[Sample]], number: int) -> bytearray:
    """`moof` and `mdat` with the samples of each stream; `number` counts fragments from 1."""
    trafs: list[bytes] = []
    holes: list[int] = []
    data: list[bytes] = []
    lengths: list[int] = []
    at = 8 + 16  # moof header, mfhd
    for stream, samples in enumerate(batch):
        if not samples:
            continue
        payloads = [mp4_sample(codecs[stream], sample.payload) for sample in samples]
        traf, hole = _traf(stream + 1, samples, payloads, video=codecs[stream].kind is Kind.VIDEO)
        trafs.append(traf)
        holes.append(at + hole)
        at += len(traf)
        data.extend(payloads)
        lengths.append(sum(map(len, payloads)))
    moof = bytearray(box(b"moof", full_box(b"mfhd", 0, 0, struct.pack(">I", number)), *trafs))
    offset = len(moof) + 8
    for hole, length in zip(holes, lengths, strict=True):
        struct.pack_into(">i", moof, hole, offset)
        offset += length
    return bytearray(b"".join((moof, (8 + sum(lengths)).to_bytes(4, "big"), b"mdat", *data)))


def _trak(number: int, spec: StreamSpec, header: FileHeader) -> bytes:
    audio = spec.codec.kind is Kind.AUDIO
    entry = full_box(b"stsd", 0, 0, struct.pack(">I", 1), sample_entry(spec))
    empty = [full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc")]
    table = box(b"stbl", entry, *empty, full_box(b"stsz", 0, 0, bytes(8)), full_box(b"stco", 0, 0, bytes(4)))
    return box(
        b"trak",
        boxes.tkhd(header.created, number, boxes.NO_DURATION, audio=audio, size=spec.pixels),
        boxes.edit_list([(0, spec.priming)]) if spec.priming else b"",
        box(
            b"mdia",
            boxes.mdhd(header.created, spec.clock_rate, boxes.NO_DURATION, spec.language),
            boxes.hdlr(b"soun" if audio else b"vide", spec.title or spec.codec.kind.value),
            boxes.media_information(audio=audio, sample_table=table),
        ),
    )


def _traf(number: int, samples: Sequence[Sample], payloads: Sequence[bytes], *, video: bool) -> tuple[bytes, int]:
    """A track fragment, and where in it the data offset is to be filled in."""
    tfhd = full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack(">I", number))
    tfdt = full_box(b"tfdt", 1, 0, struct.pack(">Q", samples[0].pts))
    flags = _TRUN_OFFSET | _TRUN_DURATION | _TRUN_SIZE
    fields: list[int] = []
    if video:
        flags |= _TRUN_FLAGS
        for sample, payload in zip(samples, payloads, strict=True):
            fields += (sample.duration, len(payload), _SYNC if sample.keyframe else _NOT_SYNC)
    else:
        for sample, payload in zip(samples, payloads, strict=True):
            fields += (sample.duration, len(payload))
    trun = full_box(b"trun", 0, flags, struct.pack(f">Ii{len(fields)}I", len(samples), 0, *fields))
    hole = 8 + len(tfhd) + len(tfdt) + 12 + 4
    return box(b"traf", tfhd, tfdt, trun), hole
