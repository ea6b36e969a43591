"""Cost of sound: Opus tracks decoded, placed and mixed, per block of 20 ms.

Run: python -m bench.mixing [--tracks 4] [--seconds 20] [--skew 200]

Goal: at most 300 us per block for 4 tracks. Exit code 1 when it is missed on a quiet machine, 75 when it was too busy
to judge.
"""

from __future__ import annotations

import argparse
import sys

from bench.machine import TOLERATED, Quiet, verdict
from tests.media.sound import opus_packets, tone

from pyegress.clock import monotonic
from pyegress.codecs import Codec
from pyegress.media.audio_track import AudioTrack
from pyegress.media.mixer import Mixer

GOAL = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--skew", type=float, default=200.0, help="ppm by which the publishers' clocks differ")
    options = parser.parse_args()
    frames = opus_packets(tone(options.seconds), bit_rate=48_000)
    quiet = Quiet()
    mixer = Mixer()
    tracks = [AudioTrack(Codec.OPUS) for _ in range(options.tracks)]
    for number, track in enumerate(tracks):
        mixer.add(number, track)
    spent, blocks, ahead = 0.0, 0, 30
    for block in range(len(frames) - ahead):
        for frame in frames[: ahead + 1] if not block else frames[block + ahead : block + ahead + 1]:
            for track in tracks:
                track.push(frame, frame.timestamp / 48_000 * (1 + options.skew * 1e-6))
        begun = monotonic()
        mixer.render(block * 960, 960)
        spent += monotonic() - begun
        blocks += 1
    each = spent / blocks * 1e6
    foreign = quiet.foreign()
    print(f"{options.tracks} tracks, skew {options.skew:g} ppm: {each:.0f} us per 20 ms ({each / 20_000:.4f} core)")
    print(verdict(foreign))
    if each <= GOAL * options.tracks / 4:
        return 0
    return 75 if foreign > TOLERATED else 1


if __name__ == "__main__":
    sys.exit(main())
