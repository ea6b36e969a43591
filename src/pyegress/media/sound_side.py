"""The sound of one output: from the tracks' packets to the encoder and to whoever wants the mix itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.audio_track import RATE, AudioTrack
from pyegress.media.engine_messages import Begin
from pyegress.media.mixer import Mixer
from pyegress.media.steps import Stage, Step, counted
from pyegress.media.taps import SoundTap
from pyegress.rtp.frame import EncodedFrame


@dataclass(slots=True)
class SoundSide:
    """Renders blocks of samples. Media thread only. Without an `encoder` only the tap gets sound."""

    encoder: AudioEncoder | None
    tap: SoundTap | None
    on_packet: Callable[[Kind, EncodedFrame], None]
    #: Samples that are rendered at once.
    block: int
    #: The next sample to be rendered.
    sample: int = 0
    _mixer: Mixer = field(default_factory=Mixer)
    _begun: dict[str, Begin] = field(default_factory=dict)
    _tracks: dict[str, AudioTrack] = field(default_factory=dict)

    def begin(self, begin: Begin) -> None:
        """A stream of a track will bring sound."""
        self._begun[begin.track] = begin

    def push(self, track: str, frame: EncodedFrame, first: bool, at: float) -> None:
        """A packet of a track, captured at second `at` of the output; the `first` of a stream begins anew."""
        if first:
            # What the former stream still has is played out.
            self._tracks[track] = AudioTrack(frame.codec)
            self._mixer.add(track, self._tracks[track], self._begun[track].channel)
        self._tracks[track].push(frame, at)

    def remove(self, track: str) -> None:
        """A track is over; what it still has is played out."""
        if self._tracks.pop(track, None) is not None:
            self._mixer.remove(track)

    def render(self, end: int) -> None:
        """Whole blocks up to sample `end`."""
        while self.sample + self.block <= end:
            self._give(self.block)

    def render_to(self, end: int) -> None:
        """Everything up to sample `end`, where the output ends."""
        self.render(end)
        if end > self.sample:
            self._give(end - self.sample)

    def steps(self) -> list[Step]:
        """The decoders and the mix that they are heard in. Any thread."""
        decoders = [
            Step(Stage.DECODER, track, {**counted(sound.counters), "damaged": sound.damaged})
            for track, sound in list(self._tracks.items())
        ]
        return [*decoders, Step(Stage.COMPOSITION, "mix", {"seconds": round(self.sample / RATE, 1)})]

    def close(self) -> None:
        """Nothing more is rendered: give what the encoder still has."""
        for packet in self.encoder.flush() if self.encoder is not None else ():
            self.on_packet(Kind.AUDIO, packet)

    def _give(self, count: int) -> None:
        mix: NDArray[np.float32] = self._mixer.render(self.sample, count)
        if self.tap is not None:
            self.tap(mix, self.sample)
        if self.encoder is not None:
            for packet in self.encoder.encode(mix):
                self.on_packet(Kind.AUDIO, packet)
        self.sample += count
