"""Who is there and what they publish: an empty room, no pictures, no sound, microphones that come and go."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

import numpy as np
import pytest

from pyegress.lifecycle.recording import EndReason
from pyegress.room.events import Source
from tests.support.analysis import Sound, file_facts, read_sound, tone_envelope
from tests.support.composed import BLACK, read_looks
from tests.support.livekit_server import LiveKitServer
from tests.system.compositions import CELLS, WHOLE, beeps, mostly, participant, room, stretch
from tests.system.scenes import clip, finished, prepare, publishing, recorded, the_file

pytestmark = pytest.mark.system

#: Sound below this level (full scale is 1) is silence after encoding.
SILENCE = 0.002
RATE = 48_000


def part(sound: Sound, start: float, end: float) -> Sound:
    """The sound from `start` to `end` seconds of the file."""
    first, last = (round((at - sound.start) * RATE) for at in (start, end))
    return Sound(sound.samples[max(0, first) : max(0, last)], start, ())


def level(sound: Sound) -> float:
    """The loudest sample."""
    return float(np.abs(sound.samples).max())


async def test_everybody_leaves_and_one_comes_back(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Time goes on while nobody is there: background and silence. The file ends where the last one left."""
    name = "composed-empty"
    prepare("ada", clip())
    prepare("bob", clip(participant=4))
    async with room(livekit_server, name, tmp_path / "room.mp4") as recording:
        async with (
            publishing(livekit_server, name) as ada,
            publishing(livekit_server, name, "bob", clip(participant=4)),
        ):
            await recorded(recording, 4.5)
        left = recording.now.elapsed
        await recorded(recording, left + 4.0)
        async with publishing(livekit_server, name) as again:
            back = recording.now.elapsed
            await recorded(recording, back + 4.0)
            last = recording.now.elapsed
        await asyncio.wait_for(livekit_server.delete_room(name), 10)
        result = await finished(recording)
    assert result.reason is EndReason.SOURCE_CLOSED
    path = the_file(result)
    looks = read_looks(path, CELLS | {"all": WHOLE, "left": (0.0, 90.0, 320.0, 180.0)})
    assert result.duration == pytest.approx(last, abs=0.6)
    assert looks[-1].at == pytest.approx(result.duration, abs=0.1)
    empty = stretch(looks, left + 0.6, back - 0.2)
    assert len(empty) >= 2
    assert all(look.brightness["all"] < BLACK for look in empty)
    sound = read_sound(path)
    assert sound.gaps == ()
    assert sound.start + sound.duration == pytest.approx(result.duration, abs=0.1)
    assert level(part(sound, left + 0.6, back - 0.2)) < SILENCE
    assert mostly([look.shows("all") == 3 for look in stretch(looks, back + 1.5, last - 0.3)])
    # Each side of two shows the middle of a picture: who it is cannot be read, so the time is told by the beeps.
    heard = beeps(path)
    before = [at for at in heard if at < left + 0.2]
    after = [at for at in heard if at > back - 0.2]
    assert len(before) >= 3
    assert len(after) >= 3
    offset = statistics.median((at - again.epoch + 0.5) % 1.0 for at in after)
    former = statistics.median((at - ada.epoch + 0.5) % 1.0 for at in before)
    assert abs((offset - former + 0.5) % 1.0 - 0.5) <= 0.08, (former, offset)


async def test_no_pictures_and_no_sound(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """A file for both has both, whatever is published."""
    name = "composed-half"
    prepare("bob", clip(participant=4))
    async with (
        publishing(livekit_server, name, video=False) as ada,
        publishing(livekit_server, name, "bob", clip(participant=4), audio=False),
        participant(livekit_server, name, tmp_path / "ada.mp4") as heard,
        participant(livekit_server, name, tmp_path / "bob.mp4", identity="bob") as seen,
    ):
        await recorded(heard, 4.0)
        await recorded(seen, 4.0)
    for result in (heard.result, seen.result):
        facts = file_facts(the_file(result))
        assert [stream.kind for stream in facts.streams] == ["video", "audio"]
        assert {round(stream.duration or 0.0, 1) for stream in facts.streams} <= {
            round(result.duration + step / 10, 1) for step in (-1, 0, 1)
        }
    looks = read_looks(the_file(heard.result), {"all": WHOLE})
    assert all(look.brightness["all"] < BLACK for look in looks)
    assert len(beeps(the_file(heard.result), ada.content.participant)) >= 3
    looks = read_looks(the_file(seen.result), {"all": WHOLE})
    assert mostly([look.shows("all") == 4 for look in stretch(looks, 0.5, 4.0)])
    assert level(read_sound(the_file(seen.result))) < SILENCE


async def test_a_microphone_that_comes_and_goes(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Silence while it is muted or not there, the same level as before when it is back, and no clicks.

    The server mutes: then packets end in the middle of the tone. (The SDK would first send a tone that is cut off.)
    """
    name = "composed-microphone"
    content = clip(continuous=True, dtx=False)
    marks: list[float] = []
    async with (
        publishing(livekit_server, name, content=content, video=False) as ada,
        room(livekit_server, name, tmp_path / "mix.ogg", audio_only=True, width=None, height=None) as recording,
    ):

        async def mark(after: float) -> None:
            await recorded(recording, (marks[-1] if marks else 0.0) + after)
            marks.append(recording.now.elapsed)

        await mark(3.0)
        sid = ada.sids[Source.MICROPHONE]
        await livekit_server.mute_track(name, "ada", sid)
        await mark(2.0)
        await livekit_server.mute_track(name, "ada", sid, muted=False)
        await mark(2.0)
        await livekit_server.mute_track(name, "ada", sid)
        await recorded(recording, marks[-1] + 0.5)
        await ada.unpublish(Source.MICROPHONE)
        await mark(2.0)
        await ada.publish(Source.MICROPHONE)
        await mark(3.0)
    sound = read_sound(the_file(recording.result))
    assert sound.gaps == ()
    muted, unmuted, gone, back, end = marks
    usual = float(np.median(tone_envelope(part(sound, 1.0, muted - 0.3), ada.tone)))
    assert usual > 0.2
    for start, stop in ((1.0, muted - 0.3), (unmuted + 0.7, gone - 0.3), (back + 0.8, end - 0.3)):
        envelope = tone_envelope(part(sound, start, stop), ada.tone)[RATE // 50 : -RATE // 50]
        assert envelope.min() > 0.8 * usual, f"sound breaks off between {start} and {stop} s"
        assert envelope.max() < 1.2 * usual
    for start, stop in ((muted + 0.6, unmuted - 0.1), (gone + 0.6, back - 0.1)):
        assert level(part(sound, start, stop)) < SILENCE
    # A tone moves by so much from one sample to the next; a click moves faster. Where it comes back the SDK may have
    # published a click: a packet of silence in which the tone begins.
    step = 2 * np.pi * ada.tone / RATE * usual
    steps = np.abs(np.diff(sound.samples))
    for at in (unmuted, back):
        first = round((at - 0.1 - sound.start) * RATE)
        steps[max(0, first) : first + RATE // 2] = 0.0
    assert steps.max() < 2.0 * step, f"{steps.max():.3f} at {sound.start + int(steps.argmax()) / RATE:.3f} s, {marks}"
