"""Runs one recording to its end in the foreground: signals, the live line, the result, the exit code."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import typer

from pyegress.cli import exit_codes
from pyegress.cli.live import LiveLine, duration, size
from pyegress.cli.options import Common
from pyegress.cli.wording import Wording
from pyegress.errors import EgressError
from pyegress.lifecycle.recording import RecordingState
from pyegress.worker.progress import RecordingResult

if TYPE_CHECKING:
    from pyegress.worker.record import Recording

#: What ends a recording in order. A terminal that goes away must not take the file with it.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(make: Callable[[], Recording], common: Common) -> None:
    """Make the recording, run it to its end, print what came of it, and exit with the code that says so."""
    logging.basicConfig(
        level=logging.INFO if common.verbose else logging.CRITICAL,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aioice").setLevel(logging.WARNING if common.verbose else logging.CRITICAL)
    line = LiveLine(quiet=common.quiet or common.verbose)
    try:
        recording = make()
        line.show(recording.now)
        result = _run_loop(_record(recording, line))
    except EgressError as error:
        fail(error, common.wording)
        raise typer.Exit(exit_codes.of_error(error)) from None
    except (typer.BadParameter, typer.Exit):
        raise
    except Exception as error:
        logging.getLogger(__name__).info("the recording failed", exc_info=True)
        line.clear()
        fail(
            EgressError(
                f"pyegress failed ({type(error).__name__}); what was recorded is on the disk",
                remedy="Please report it, with what --verbose shows",
            ),
            common.wording,
        )
        raise typer.Exit(exit_codes.ExitCode.INTERNAL) from None
    line.clear()
    if common.as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        _print(result)
    for warning in (*(warning for file in result.files for warning in file.warnings), *result.warnings):
        typer.echo(f"pyegress: warning: {' '.join(common.wording.sentences(EgressError(warning)))}", err=True)
    if result.error is not None:
        fail(result.error, common.wording)
    raise typer.Exit(exit_codes.of_result(result))


def fail(error: EgressError, wording: Wording) -> None:
    """Say on standard error what went wrong and what to do."""
    cause, *remedy = wording.sentences(error)
    typer.echo(f"pyegress: {cause}", err=True)
    for sentence in remedy:
        typer.echo(f"  {sentence}", err=True)


async def _record(recording: Recording, line: LiveLine) -> RecordingResult:
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        # The first one ends the recording, another one the uploads.
        if recording.now.state is RecordingState.ENDING:
            recording.give_up()
        else:
            recording.stop()

    for number in _SIGNALS:
        # nohup has it ignored, and so it stays.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, signalled)
    async with recording:
        async for progress in recording.progress():
            line.show(progress)
        return await recording.wait()


def _run_loop(main: Coroutine[Any, Any, RecordingResult]) -> RecordingResult:
    try:
        from uvloop import run
    except ImportError:
        return asyncio.run(main)
    return run(main)


def _print(result: RecordingResult) -> None:
    for file in result.files:
        streams = " + ".join(
            f"{stream.codec} {stream.size[0]}x{stream.size[1]}" if stream.size else stream.codec
            for stream in file.streams
        )
        typer.echo(f"{file.location or file.path}  {duration(file.duration)}  {streams}  {size(file.size)}")
    for made in result.segments:
        name = made.playlist_location or made.playlist_name
        typer.echo(f"{name}  {duration(made.duration)}  {made.segment_count} segments  {size(made.size)}")
    for images in result.images:
        typer.echo(f"{images.filename_prefix}…  {images.image_count} images")
    for stream in result.streams:
        seconds = (stream.ended_at or 0.0) - stream.started_at if stream.started_at is not None else 0.0
        how = f"FAILED: {stream.error}" if stream.error else f"{stream.retries} retries" if stream.retries else ""
        typer.echo("  ".join(filter(None, (stream.url, duration(max(0.0, seconds)), how))))
    if not (result.files or result.segments or result.images or result.streams) and result.error is None:
        typer.echo("pyegress: Stopped before any media came: nothing was recorded.", err=True)
