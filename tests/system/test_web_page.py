"""A page that draws frame numbers and beeps, recorded by real Chromium."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from pyegress.lifecycle.recording import EndReason, RecordingState
from tests.support.analysis import (
    av_offsets,
    beep_onsets,
    check_numbers,
    file_facts,
    flash_onsets,
    numbers_of,
    read_pictures,
    read_sound,
)
from tests.support.page_server import PageServer
from tests.system.compositions import mostly
from tests.system.web_pages import is_active, needs_browser, nothing_is_left, record, traces

pytestmark = [pytest.mark.system, needs_browser]


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def undisturbed(frame: av.VideoFrame) -> bool:
    """Whether the page's own grey is wherever it draws neither flash nor number, up to the last row and column."""
    red, green, blue = frame.to_ndarray(format="rgb24").astype(np.int16).transpose(2, 0, 1)
    grey = (abs(red - 64) < 12) & (abs(green - 64) < 12) & (abs(blue - 64) < 12)
    height, width = grey.shape
    parts = (grey[height * 3 // 10 : height * 2 // 3], grey[-3:], grey[:, -3:], grey[: height // 4, width // 4 :])
    return all(part.mean() > 0.98 for part in parts)


async def test_a_page_is_recorded_from_its_start_signal_to_its_end_signal(tmp_path: Path) -> None:
    """Also one that is huge, opens windows and dialogs, and asks for what it may not have."""
    before = traces()
    async with PageServer() as server:
        url = server.url("/frames?start=500&end=5500&report=1&rude=1&huge=4000")
        async with record(url, tmp_path / "page.mp4", await_start_signal=True, wait=60.0) as recording:
            result = await recording.wait()
        (report,) = server.reports
        assert server.asked["/blank"] == 0
    assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.SOURCE_CLOSED)
    assert report["inner"] == report["client"] == [640, 360]
    assert (report["ratio"], report["driven"]) == (1, False)
    if os.geteuid() == 0:
        assert any("without its sandbox: it does not work for root" in warning for warning in result.warnings)

    (file,) = result.files
    facts = file_facts(file.path)
    assert [stream.kind for stream in facts.streams] == ["video", "audio"]
    assert facts.streams[0].size == (640, 360)
    assert 4.0 < file.duration < 9.0
    assert all(stream.duration == pytest.approx(file.duration, abs=0.1) for stream in facts.streams)

    pictures = read_pictures(file.path)
    assert sum(picture.number is not None for picture in pictures) >= 0.95 * len(pictures)
    # Dialogs, windows, bubbles and scroll bars would hide a part of it; what a dialog covers is drawn again after it.
    shown = [undisturbed(frame) for frame in decoded(file.path)]
    assert mostly(shown[len(shown) // 4 :], 0.95)
    assert sum(shown) >= 0.8 * len(shown), f"covered in pictures {[n for n, free in enumerate(shown) if not free]}"
    numbers = check_numbers(numbers_of(pictures))
    assert numbers.reordered == ()
    assert numbers.first < 60
    seen = numbers.last - numbers.first + 1
    assert len(numbers.missing) < 0.5 * seen
    sound = read_sound(file.path)
    offsets = av_offsets(flash_onsets(pictures), beep_onsets(sound, 500.0))
    assert len(offsets) >= 2
    assert abs(statistics.median(offsets)) < 0.2
    await nothing_is_left(before)


async def test_three_pages_one_after_the_other_leave_nothing(tmp_path: Path) -> None:
    """Sound alone, pictures alone, and one that is stopped before it is ready."""
    before = traces()
    async with PageServer() as server:
        async with record(server.url("/frames"), tmp_path / "sound.ogg", audio_only=True) as recording:
            await is_active(recording)
            recording.stop()
            result = await recording.wait()
        assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.STOPPED)
        assert [stream.kind for stream in file_facts(tmp_path / "sound.ogg").streams] == ["audio"]
        await nothing_is_left(before)

        async with record(server.url("/frames"), tmp_path / "pictures", video_only=True, duration=1.0) as recording:
            result = await recording.wait()
        assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.LIMIT_REACHED)
        (file,) = result.files
        assert [stream.kind for stream in file_facts(file.path).streams] == ["video"]
        assert file.duration == pytest.approx(1.0, abs=0.01)

        async with record(server.url("/slow"), tmp_path / "none.mp4") as recording:
            recording.stop()
            result = await recording.wait()
        assert result.state is RecordingState.ABORTED
        assert not (tmp_path / "none.mp4").exists()
    await nothing_is_left(before)
