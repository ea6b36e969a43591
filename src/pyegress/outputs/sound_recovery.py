"""Finishes recordings of sound alone from what is on the disk: Ogg, MP3, WAV and FLAC.

Each function takes a descriptor that is open for reading and writing, cuts off what is torn at the end, brings headers
up to date and gives the duration in seconds. All are idempotent, and at each of their steps the file plays. They raise
NotARecording when nothing was recorded, OSError.
"""

from __future__ import annotations

import os
import struct
from array import array

from pyegress.outputs.flac import find_frames, stream_info_total
from pyegress.outputs.fragment_reader import BoxReader, NotARecording
from pyegress.outputs.mp3 import DECODER_DELAY, frame_of, lame_crc
from pyegress.outputs.ogg import LAST, ogg_crc
from pyegress.outputs.opus import CLOCK_RATE
from pyegress.outputs.wav import HEADER_BYTES, MAX_SIZE

_OGG_HEADER = 27
_MAX_12 = 0xFFF
#: A torn FLAC frame is in the last piece; whole ones before it are found within this many bytes.
_FLAC_WINDOW = 1 << 18


def finish_ogg(fd: int) -> float:
    """The last whole page becomes the end of the stream (RFC 3533 section 6)."""
    reader = BoxReader(fd)
    starts = array("Q")
    end = os.fstat(fd).st_size
    at = 0
    while at + _OGG_HEADER <= end:
        head = reader.read(at, _OGG_HEADER)
        if head[:4] != b"OggS" or at + _OGG_HEADER + head[26] > end:
            break
        size = _OGG_HEADER + head[26] + sum(reader.read(at + _OGG_HEADER, head[26]))
        if at + size > end:
            break
        starts.append(at)
        at += size
    while starts:
        page = bytearray(os.pread(fd, at - starts[-1], starts[-1]))
        told, page[22:26] = page[22:26], bytes(4)
        if int.from_bytes(told, "little") == ogg_crc(page):
            break
        at = starts.pop()
    # Headers have the position 0, or -1 where no packet ends.
    if not starts or (granule := int.from_bytes(page[6:14], "little", signed=True)) <= 0:
        raise NotARecording("nothing was recorded")
    os.ftruncate(fd, at)
    if not page[5] & LAST:
        page[5] |= LAST
        page[22:26] = ogg_crc(page).to_bytes(4, "little")
        os.pwrite(fd, page[:_OGG_HEADER], starts[-1])
    head = os.pread(fd, 256, 0)
    pre_skip = int.from_bytes(head[(mark := head.index(b"OpusHead") + 10) : mark + 2], "little")
    return max(0, granule - pre_skip) / CLOCK_RATE


def finish_wav(fd: int) -> float:
    """Sizes of the header are those of the samples that are there."""
    head = os.pread(fd, HEADER_BYTES, 0)
    if len(head) < HEADER_BYTES:
        raise NotARecording("no header of a WAV recording")
    rate, block = int.from_bytes(head[24:28], "little"), int.from_bytes(head[32:34], "little")
    told = int.from_bytes(head[54:58], "little")
    end = os.fstat(fd).st_size
    if HEADER_BYTES + told + told % 2 != end or told % block:
        told = (end - HEADER_BYTES) // block * block
        os.ftruncate(fd, HEADER_BYTES + told)
        for at, value in ((4, HEADER_BYTES - 8 + told + told % 2), (46, told // block), (54, told)):
            os.pwrite(fd, min(value, MAX_SIZE).to_bytes(4, "little"), at)
        if told % 2:  # the last step: whoever finds the padding before it was told takes it for a sample
            os.pwrite(fd, b"\x00", HEADER_BYTES + told)
    if not told:
        raise NotARecording("nothing was recorded")
    return told / block / rate


def finish_mp3(fd: int) -> float:
    """The tag in the first frame counts what is there."""
    reader = BoxReader(fd)
    head = os.pread(fd, 10, 0)
    start = 0
    if head[:3] == b"ID3":
        start = 10 + sum(value << shift for value, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    end = os.fstat(fd).st_size
    at, count = start, -1
    first = None
    while at + 4 <= end and (frame := frame_of(reader.read(at, 4))) is not None and at + frame.size <= end:
        first = first or frame
        at += frame.size
        count += 1
    if first is None or count < 1:
        raise NotARecording("nothing was recorded")
    os.ftruncate(fd, at)
    tag = bytearray(os.pread(fd, first.size, start))
    info = 4 + first.side
    if tag[info : info + 4] != b"Info":
        # Killed before the tag was written for the first time: it plays, with the encoder's priming.
        return count * first.samples / first.rate
    lame = info + 120
    gaps = int.from_bytes(tag[lame + 21 : lame + 24], "big")
    delay, filling = gaps >> 12, gaps & _MAX_12
    if struct.unpack_from(">II", tag, info + 8) != (count, at - start):
        filling = DECODER_DELAY
        struct.pack_into(">II", tag, info + 8, count, at - start)
        tag[lame + 21 : lame + 24] = (delay << 12 | filling).to_bytes(3, "big")
        struct.pack_into(">I", tag, lame + 28, min(at - start, MAX_SIZE))
        tag[lame + 34 : lame + 36] = lame_crc(tag[: lame + 34]).to_bytes(2, "big")
        os.pwrite(fd, tag, start)
    return max(0, count * first.samples - (filling - DECODER_DELAY) - (delay + DECODER_DELAY)) / first.rate


def finish_flac(fd: int) -> float:
    """STREAMINFO tells how many samples there are (RFC 9639 section 8.2)."""
    head = os.pread(fd, 42, 0)
    if len(head) < 42 or head[:4] != b"fLaC":
        raise NotARecording("no header of a FLAC recording")
    end = _without_zeros(fd)
    begin = max(0, end - _FLAC_WINDOW)
    block = int.from_bytes(head[8:10], "big")
    # A checksum may end in zeros itself; and a frame with its checksum and zeros behind it has the checksum zero.
    ends = (end - begin, end - begin + 1, end - begin + 2)
    last = find_frames(os.pread(fd, ends[-1], begin), block, ends)
    if last is None:
        raise NotARecording("nothing was recorded")
    os.ftruncate(fd, begin + last.end)
    rate = int.from_bytes(head[18:21], "big") >> 4
    info = stream_info_total(head[8:42], last.samples)
    if info != head[8:42]:
        os.pwrite(fd, info, 8)
    return last.samples / rate


def _without_zeros(fd: int) -> int:
    """Where the zeros begin that a power cut left at the end."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - _FLAC_WINDOW)
        if kept := os.pread(fd, end - start, start).rstrip(b"\x00"):
            return start + len(kept)
        end = start
    return 0
