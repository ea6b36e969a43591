"""`record_web`: any web page into files, HLS, images and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.copy_plan import DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT
from pyegress.plan.encoding_arguments import EncodingArguments
from pyegress.worker.record import EncodingOptions, Recording, foreground_session

if TYPE_CHECKING:
    from pyegress.worker.output_arguments import OutputPaths


def record_web(
    *,
    url: str,
    output: OutputPaths,
    audio_only: bool = False,
    video_only: bool = False,
    await_start_signal: bool = False,
    duration: float | None = None,
    wait: float | None = DEFAULT_WAIT,
    max_file_size: int | None = None,
    overwrite: bool = False,
    browser: BrowserOptions | None = None,
    **encoding: Unpack[EncodingOptions],
) -> Recording:
    """Record what a web page shows and plays, in Chromium, at exactly the size of the output.

    Begins when the page is loaded and has drawn something, or with `await_start_signal` when it writes START_RECORDING
    to its console, for which `wait` seconds are given (None: no limit). Ends when it writes END_RECORDING, at a limit
    (`duration` in seconds, `max_file_size` in bytes), or at `stop`. `browser` says how it is opened. The extension of
    `output` decides the container, .mp4 without one (`audio_only`: .ogg). Raises InvalidRequest for arguments that make
    no sense.
    """
    asked = EncodingArguments(**encoding)
    from pyegress.plan.foreground import plan_web

    session = foreground_session(None, output, duration, wait, DEFAULT_RECONNECT_WINDOW, overwrite, max_file_size)
    session = replace(session, browser=browser or BrowserOptions())
    plan = plan_web(
        session,
        asked,
        url=url,
        audio_only=audio_only,
        video_only=video_only,
        await_start_signal=await_start_signal,
    )
    return Recording(plan)
