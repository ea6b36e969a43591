"""One file of a recording: takes frames as they come, keeps the file playable, and finishes it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pyegress.clock import wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import Code, Fault, OutputFailed
from pyegress.outputs.disk import TEMPORARY_SUFFIX, GrowingFile, disk_failure
from pyegress.outputs.flac import FlacMuxer
from pyegress.outputs.fragment_reader import NotARecording
from pyegress.outputs.fragmented_mp4 import FragmentedMp4Muxer
from pyegress.outputs.mp3 import Mp3Muxer
from pyegress.outputs.muxer import FileHeader, Muxer, Sample, StreamSpec
from pyegress.outputs.ogg import OggOpusMuxer
from pyegress.outputs.opus import opus_channels, opus_ticks
from pyegress.outputs.wav import WavMuxer
from pyegress.outputs.webm import WebmMuxer
from pyegress.plan.containers import Container
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.frame import EncodedFrame

#: Media that is collected for the next piece of the file, where nobody flushes before, seconds.
BATCH_SECONDS = 0.5
#: The same in bytes, so that memory is bounded whatever the bitrate.
BATCH_BYTES = 2 << 20
#: Until a second frame tells, a picture is taken to last 1/30 s.
_FIRST_GUESS = 30


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What became of one stream. `size` is that of its first picture; `octets` counts payload bytes."""

    codec: Codec
    frames: int
    octets: int
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class FileResult:
    """A closed file. `size` in bytes; `duration` in seconds from the start of the file to the end of its last frame."""

    path: Path
    size: int
    duration: float
    streams: tuple[StreamResult, ...]
    #: False when the file plays, but could not be made an ordinary seekable one; `warning` says why.
    optimised: bool = True
    warning: str = ""


class _State(Enum):
    OPEN = "open"
    #: The disk refused a piece: what is there plays, nothing is added.
    FAILED = "failed"
    CLOSED = "closed"


class FileWriter:
    """Writes encoded frames unchanged into one file. Synchronous; all calls from one thread.

    At most `batch` seconds of media wait in memory per stream; call `flush` when nothing is written for a while.
    """

    def __init__(
        self,
        path: Path,
        container: Container,
        streams: Sequence[StreamSpec],
        *,
        metadata: Mapping[str, str] | None = None,
        batch: float = BATCH_SECONDS,
    ) -> None:
        """Create the file (parents too) and write its header. Raises OutputFailed."""
        _check_streams(path, container, streams)
        self._specs = tuple(streams)
        self._pending: list[list[Sample]] = [[] for _ in streams]
        self._pending_bytes = 0
        self._last = [-1] * len(streams)
        self._step = [0 if spec.codec.kind is Kind.AUDIO else spec.clock_rate // _FIRST_GUESS for spec in streams]
        self.batch = batch
        self._batch_ticks = [round(spec.clock_rate * batch) for spec in streams]
        self._frames = [0] * len(streams)
        self._octets = [0] * len(streams)
        self._mono = [spec.codec is Codec.OPUS and spec.channels == 1 for spec in streams]
        self._ends = [0] * len(streams)
        #: The same of what the disk has taken.
        self._taken = [0] * len(streams)
        self._written = 0
        self._failure: OutputFailed | None = None
        self._result: FileResult | None = None
        header = FileHeader(wall(), dict(metadata or {}))
        try:
            self._file = GrowingFile(path)
        except OSError as error:
            raise disk_failure(error, path, "write") from error
        try:
            self._muxer = _muxer(self._file, container, self._specs, header)
        except OSError as error:
            self._discard()
            raise disk_failure(error, path, "write") from error
        except ProtocolError as error:
            self._discard()
            raise OutputFailed(f"Cannot begin {path}: {error}", field=str(path), fault=Fault.OURS) from error
        self._state = _State.OPEN

    @property
    def path(self) -> Path:
        """Where the file is, symbolic links resolved."""
        return self._file.path

    @property
    def bytes_written(self) -> int:
        """Size of the file so far, what still waits in memory included."""
        return self._file.size + self._pending_bytes

    @property
    def duration(self) -> float:
        """Seconds from the start of the file to the end of the last frame."""
        return max(
            ((end - s.priming) / s.clock_rate for end, s in zip(self._ends, self._specs, strict=True) if end),
            default=0.0,
        )

    def write(self, stream: int, frame: EncodedFrame, pts: int) -> None:
        """Add the next frame of a stream; `pts` in ticks of its clock from the start of the file.

        An encoder's first `pts` is its priming before the sound, so it may be negative. A `pts` that is not above the
        last one becomes the next tick. Raises OutputFailed when the disk refuses.
        """
        if self._state is not _State.OPEN:
            raise self._failure or OutputFailed(f"{self.path} is already closed", fault=Fault.OURS)
        pending = self._pending[stream]
        last = self._last[stream]
        pts += self._specs[stream].priming
        if pts <= last:
            pts = last + 1
        payload = frame.payload
        duration = self._duration(stream, frame, pts)
        if pending:
            pending[-1].duration = pts - last
            if pts - pending[0].pts >= self._batch_ticks[stream]:
                self.flush()
        pending.append(Sample(pts, duration, payload, frame.keyframe))
        self._last[stream] = pts
        self._ends[stream] = pts + duration
        self._pending_bytes += len(payload)
        self._frames[stream] += 1
        self._octets[stream] += len(payload)
        if self._mono[stream] and opus_channels(payload) == 2:
            self._mono[stream] = False
            with self._disk_errors():
                self._muxer.widen(stream)
        # The first frame goes down at once: whoever watches the file sees that it has begun.
        if self._frames[stream] == 1 or self._pending_bytes >= BATCH_BYTES:
            self.flush()

    def move(self, path: Path) -> None:
        """Give the file another name in the same folder, replacing what has it now. Raises OutputFailed."""
        try:
            os.replace(self._file.path, path)
        except OSError as error:
            raise disk_failure(error, path, "write") from error
        self._file.path = path

    def flush(self) -> None:
        """Hand everything written so far to the operating system. Raises OutputFailed."""
        if self._state is not _State.OPEN or not any(self._pending):
            return
        batch = [samples.copy() for samples in self._pending]
        for samples in self._pending:
            samples.clear()
        self._pending_bytes = 0
        with self._disk_errors():
            self._muxer.write_batch(batch)
        self._taken = self._ends.copy()

    def close(self) -> FileResult:
        """Finish the file: ordinary and seekable, without encoding anything again. Idempotent.

        Never raises for what the disk does: the recording stays as it is and the result says so.
        """
        if self._result is None:
            with suppress(OutputFailed):
                self.flush()
            warning = self._failure.message if self._failure else ""
            try:
                self._muxer.finish()
            except OSError as error:
                failure = disk_failure(error, self.path, "finish")
                warning = f"{failure.message}. The file plays, but seeking in it may be slow. {failure.remedy}"
            except NotARecording as error:
                warning = f"Cannot finish {self.path}: {error}. The file plays, but seeking in it may be slow"
            self._end(warning)
        assert self._result is not None
        return self._result

    def abort(self) -> FileResult:
        """Leave what is there, playable, and spend no time on finishing it. Idempotent."""
        if self._result is None:
            with suppress(OutputFailed):
                self.flush()
            self._end(self._failure.message if self._failure else "The file was not finished")
        assert self._result is not None
        return self._result

    def _end(self, warning: str) -> None:
        self._file.close()
        self._state = _State.CLOSED
        size = self._file.size
        with suppress(OSError):
            size = os.stat(self.path).st_size
        streams = tuple(
            StreamResult(spec.codec, frames, octets, spec.pixels if spec.codec.kind is Kind.VIDEO else None)
            for spec, frames, octets in zip(self._specs, self._frames, self._octets, strict=True)
        )
        self._result = FileResult(self.path, size, self.duration, streams, not warning, warning)

    def _duration(self, stream: int, frame: EncodedFrame, pts: int) -> int:
        """How long the frame lasts as far as is known before its successor has come."""
        spec = self._specs[stream]
        if spec.rate and frame.duration:
            return frame.duration
        if spec.codec is Codec.OPUS:
            return opus_ticks(frame.payload) or 960
        if spec.codec.kind is Kind.AUDIO:
            return len(frame.payload)
        if self._last[stream] >= 0:
            self._step[stream] = min(pts - self._last[stream], spec.clock_rate)
        return self._step[stream]

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._state = _State.FAILED
            self._ends = self._taken.copy()
            self._failure = disk_failure(error, self.path, "write")
            raise self._failure from error

    def _discard(self) -> None:
        """The header could not be written: nobody wants an empty file."""
        self._file.close()
        with suppress(OSError):
            self._file.path.unlink()


def _check_streams(path: Path, container: Container, streams: Sequence[StreamSpec]) -> None:
    if not streams:
        raise OutputFailed(f"Nothing to write into {path}", field=str(path), fault=Fault.OURS)
    for spec in streams:
        if not container.writes(spec.codec):
            fitting = [other for other in Container if other.writes(spec.codec)]
            names = ", ".join(f"{other.label} ({other.value.extensions[0]})" for other in fitting)
            raise OutputFailed(
                f"{container.label} cannot hold {spec.codec.label}: {path}",
                remedy=f"Use {names}",
                field=str(path),
                code=Code.INVALID_ARGUMENT,
                fault=Fault.CALLER,
            )
        if spec.codec.kind is Kind.VIDEO and not all(spec.pixels):
            raise OutputFailed(f"Cannot begin {path}: the first picture has no size", field=str(path), fault=Fault.OURS)
    if container.value.audio_only and len(streams) > 1:
        raise OutputFailed(
            f"{container.label} holds one audio stream, not {len(streams)}: {path}",
            remedy="Write one file for each stream",
            field=str(path),
            fault=Fault.CALLER,
        )


def _muxer(file: GrowingFile, container: Container, specs: Sequence[StreamSpec], header: FileHeader) -> Muxer:
    match container:
        case Container.MP4:
            return FragmentedMp4Muxer(file, specs, header)
        case Container.WEBM:
            name = file.path.name.lower().removesuffix(TEMPORARY_SUFFIX)
            return WebmMuxer(file, specs, header, webm=not name.endswith(".mkv"))
        case Container.OGG:
            return OggOpusMuxer(file, specs[0], header)
        case Container.WAV:
            return WavMuxer(file, specs[0])
        case Container.MP3:
            return Mp3Muxer(file, specs[0], header)
        case Container.FLAC:
            return FlacMuxer(file, specs[0], header)
