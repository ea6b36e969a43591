"""A process that encodes for a while and waits to be killed: `python -m tests.outputs.encode_child PATH VIDEO AUDIO`.

VIDEO and AUDIO are names of codecs, `-` for none. Each written second is said on standard output.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.video_encoder import VideoEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.file_writer import FileWriter
from pyegress.plan.containers import Container
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import audio, pictures, sound, video

FPS = 30
#: Not more, however late the killer is: all of it will be decoded.
SECONDS = 30


def main() -> None:
    path, video_name, audio_name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    container = Container.from_path(str(path))
    assert container is not None
    seer = VideoEncoder(video(VideoCodec[video_name]), low_latency=True) if video_name != "-" else None
    hearer = AudioEncoder(audio(AudioCodec[audio_name])) if audio_name != "-" else None
    film = pictures(20 * FPS) if seer else []
    second_of_sound = sound(1.0, [0.5])
    writer: FileWriter | None = None
    for second in range(SECONDS):
        seen: list[EncodedFrame] = []
        if seer is not None:
            for tick in range(second * FPS, (second + 1) * FPS):
                seen += seer.encode(film[tick % len(film)], tick)
        heard = hearer.encode(second_of_sound) if hearer is not None else []
        if writer is None:
            specs = [video_stream(seer.encoding, seen[0])] if seer else []
            specs += [audio_stream(hearer)] if hearer else []
            writer = FileWriter(path, container, specs)
        for frame in seen:
            writer.write(0, frame, frame.timestamp)
        for frame in heard:
            writer.write(len(specs) - 1, frame, frame.timestamp)
        print(second + 1, flush=True)  # noqa: T201
    signal.pause()


if __name__ == "__main__":
    main()
