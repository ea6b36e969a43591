from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.gap_filler import OpusGapFiller
from pyegress.outputs.ogg import ogg_crc, ogg_page
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import decode_audio, opus, read_back, spec_of

pytestmark = pytest.mark.media


@dataclass
class Page:
    flags: int
    granule: int
    sequence: int
    packets: list[bytes]


def pages(data: bytes) -> list[Page]:
    """All pages, checked: capture pattern, checksum bit by bit, serial."""
    out: list[Page] = []
    at = 0
    while at < len(data):
        magic, version, flags, granule, serial, sequence, crc, segments = struct.unpack_from("<4sBBqIIIB", data, at)
        assert (magic, version) == (b"OggS", 0)
        assert serial == struct.unpack_from("<I", data, 14)[0]
        lacing = data[at + 27 : at + 27 + segments]
        end = at + 27 + segments + sum(lacing)
        raw = bytearray(data[at:end])
        raw[22:26] = bytes(4)
        assert slow_crc(raw) == crc
        packets: list[bytes] = [b""]
        body = at + 27 + segments
        for size in lacing:
            packets[-1] += data[body : body + size]
            body += size
            if size < 255:
                packets.append(b"")
        out.append(Page(flags, granule, sequence, packets[:-1] if not packets[-1] else packets))
        at = end
    return out


def slow_crc(data: bytes | bytearray) -> int:
    """RFC 3533 section 6: polynomial 0x04c11db7, no reflection, starts at 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x8000_0000 else 0)
        crc &= 0xFFFF_FFFF
    return crc


def write(path: Path, placed: list[tuple[EncodedFrame, int]], metadata: dict[str, str] | None = None) -> FileWriter:
    writer = FileWriter(path, Container.OGG, [spec_of([placed[0][0]], "microphone")], metadata=metadata)
    for frame, pts in placed:
        writer.write(0, frame, pts)
    return writer


def test_checksum_is_that_of_the_rfc() -> None:
    for data in (b"", b"\x01", b"OggS" * 50, bytes(range(256))):
        assert ogg_crc(data) == slow_crc(data)


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 510, 61_000])
def test_lacing_of_packets_of_any_opus_size(size: int) -> None:
    page = ogg_page([b"x" * size, b"yz"], flags=0, granule=7, serial=9, sequence=3)
    [parsed] = pages(page)
    assert (parsed.packets, parsed.granule, parsed.sequence) == ([b"x" * size, b"yz"], 7, 3)


def test_pages_are_short_numbered_and_end_with_the_stream(tmp_path: Path) -> None:
    frames = opus(120)
    path = tmp_path / "a.ogg"
    result = write(path, [(f, f.timestamp) for f in frames], {"title": "Talk", "room": "r"}).close()
    found = pages(path.read_bytes())
    assert found[0].flags == 2
    assert found[0].packets[0][:8] == b"OpusHead"
    assert b"TITLE=Talk" in found[1].packets[0]
    assert b"ROOM=r" in found[1].packets[0]
    assert [page.sequence for page in found] == list(range(len(found)))
    assert [page.flags for page in found[1:]] == [0] * (len(found) - 2) + [4]
    assert [packet for page in found[2:] for packet in page.packets] == [f.payload for f in frames]
    assert all(len(page.packets) <= 25 for page in found[2:])
    assert [p.granule for p in found[2:]][-1] == 120 * 960
    assert (result.duration, result.warning) == (2.4, "")
    assert read_back(path).duration == pytest.approx(2.4)
    assert decode_audio(path) == (0.0, 120 * 960, 1)


def test_a_gap_that_nobody_filled_is_a_jump_of_the_granule(tmp_path: Path) -> None:
    frames = opus(20)
    path = tmp_path / "gap.ogg"
    placed = [(f, 4800 + n * 960 + (24_000 if n >= 10 else 0)) for n, f in enumerate(frames)]
    write(path, placed).close()
    found = pages(path.read_bytes())[2:]
    ends = {packet: page.granule for page in found for packet in page.packets[-1:]}
    assert ends[frames[9].payload] == 4800 + 10 * 960
    assert ends[frames[19].payload] == 4800 + 20 * 960 + 24_000


def test_filled_mute_has_real_time_and_plays(tmp_path: Path) -> None:
    frames = opus(20)
    filler = OpusGapFiller()
    placed = [p for n, f in enumerate(frames) for p in filler.packet(f, n * 960 + (48_000 * 5 if n >= 10 else 0))]
    path = tmp_path / "mute.ogg"
    write(path, placed).close()
    assert decode_audio(path) == (0.0, 20 * 960 + 48_000 * 5, 1)
    back = read_back(path).tracks[0]
    assert back.times[back.payloads.index(frames[10].payload)] * 48_000 == 10 * 960 + 48_000 * 5


def test_mono_that_becomes_stereo_is_announced_as_stereo(tmp_path: Path) -> None:
    mono, stereo = opus(60), opus(60, channels=2)
    path = tmp_path / "s.ogg"
    writer = write(path, [(f, f.timestamp) for f in mono])
    assert decode_audio(path)[2] == 1
    for frame in stereo:
        writer.write(0, frame, 60 * 960 + frame.timestamp)
    writer.close()
    assert pages(path.read_bytes())[0].packets[0][9] == 2
    assert decode_audio(path) == (0.0, 120 * 960, 2)
    back = read_back(path).tracks[0]
    assert back.payloads == [f.payload for f in (*mono, *stereo)]


@pytest.mark.parametrize("length", [60_000, 255 * 255, 300_000])
def test_comments_of_any_length(tmp_path: Path, length: int) -> None:
    path = tmp_path / "c.ogg"
    frames = opus(5)
    write(path, [(f, f.timestamp) for f in frames], {"comment": "c" * length}).close()
    assert decode_audio(path)[1] == 5 * 960
    assert pages(path.read_bytes())[-1].sequence > 2


def test_nothing_written_leaves_a_header(tmp_path: Path) -> None:
    frames = opus(1)
    path = tmp_path / "empty.ogg"
    result = FileWriter(path, Container.OGG, [spec_of(frames)]).close()
    assert len(pages(path.read_bytes())) == 2
    assert (result.duration, result.streams[0].frames, result.streams[0].codec) == (0.0, 0, Codec.OPUS)
