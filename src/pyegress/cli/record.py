"""`pyegress record …`: one recording in the foreground."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer

from pyegress.cli import exit_codes
from pyegress.cli.live import LiveLine, duration, size
from pyegress.errors import EgressError
from pyegress.plan.copy_plan import DEFAULT_GRACE, DEFAULT_WAIT
from pyegress.plan.selection import SOURCES
from pyegress.worker.progress import RecordingResult
from pyegress.worker.record import (
    Recording,
    record_participant,
    record_track,
    record_track_composite,
    record_tracks,
)

_CODES = "\b\nExit codes:\n" + exit_codes.table()

app = typer.Typer(
    no_args_is_help=True,
    help="Record from a LiveKit room into files, without a service and without transcoding.",
    epilog=_CODES,
)

Room = Annotated[str, typer.Option("--room", "-r", help="Name of the room.", show_default=False)]
Url = Annotated[
    str,
    typer.Option("--url", envvar="LIVEKIT_URL", help="LiveKit server, e.g. ws://localhost:7880.", show_default=False),
]
ApiKey = Annotated[str, typer.Option("--api-key", envvar="LIVEKIT_API_KEY", help="API key.", show_default=False)]
ApiSecret = Annotated[
    str, typer.Option("--api-secret", envvar="LIVEKIT_API_SECRET", help="API secret.", show_default=False)
]
Token = Annotated[
    str,
    typer.Option(
        "--token", envvar="LIVEKIT_TOKEN", help="A ready access token instead of key and secret.", show_default=False
    ),
]
Duration = Annotated[
    str, typer.Option("--duration", "-d", help="Stop after this long: 90, 90s, 15m, 1h30m.", show_default=False)
]
Wait = Annotated[
    str,
    typer.Option("--wait", help="How long the source may be missing, e.g. 30s; 0 waits without limit."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")]


@app.command(epilog=_CODES)
def track(
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="File; without an extension the fitting one is added; a / at the end: automatic name.",
        ),
    ],
    room: Room = "",
    track_id: Annotated[str, typer.Option("--track-id", help="The track (TR_…).", show_default=False)] = "",
    identity: Annotated[str, typer.Option("--identity", "-i", help="Who publishes it.", show_default=False)] = "",
    source: Annotated[
        str, typer.Option("--source", "-s", help=f"Which of theirs: {', '.join(SOURCES)}.", show_default=False)
    ] = "",
    url: Url = "",
    api_key: ApiKey = "",
    api_secret: ApiSecret = "",
    token: Token = "",
    duration: Duration = "",
    wait: Wait = f"{DEFAULT_WAIT:g}s",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Record one track as it was published: H.264, H.265, AV1 to MP4; VP8, VP9 to WebM; Opus to Ogg; G.711 to WAV.

    Ends when the track is unpublished or its participant leaves.

    \b
    pyegress record track --room standup --identity alice --source camera -o alice
    pyegress record track --room standup --track-id TR_AMxyz -o talk.ogg --duration 15m
    """
    _run(
        lambda: record_track(
            room=room,
            output=output,
            track_id=track_id,
            identity=identity,
            source=source,
            url=url,
            api_key=api_key,
            api_secret=api_secret,
            token=token,
            duration=_seconds(duration, "duration"),
            wait=_seconds(wait, "wait"),
            overwrite=overwrite,
        ),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


@app.command(epilog=_CODES)
def participant(
    output: Annotated[str, typer.Option("--output", "-o", help="File; without an extension the fitting one is added.")],
    identity: Annotated[str, typer.Option("--identity", "-i", help="The participant.", show_default=False)] = "",
    room: Room = "",
    screen_share: Annotated[
        bool, typer.Option("--screen-share", help="The screen share and its sound instead of camera and microphone.")
    ] = False,
    grace: Annotated[str, typer.Option("--grace", help="Who is back within this time has not left.")] = (
        f"{DEFAULT_GRACE:g}s"
    ),
    url: Url = "",
    api_key: ApiKey = "",
    api_secret: ApiSecret = "",
    token: Token = "",
    duration: Duration = "",
    wait: Wait = "0",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Record a participant's camera and microphone into one file, as they were published.

    Waits for the participant and the tracks; survives mute, unpublish and republish; ends when the participant leaves.

    \b
    pyegress record participant --room standup --identity alice -o alice.webm
    pyegress record participant --room standup --identity alice --screen-share -o slides
    """
    _run(
        lambda: record_participant(
            room=room,
            identity=identity,
            output=output,
            screen_share=screen_share,
            url=url,
            api_key=api_key,
            api_secret=api_secret,
            token=token,
            duration=_seconds(duration, "duration"),
            wait=_seconds(wait, "wait"),
            grace=_seconds(grace, "grace") or 0.0,
            overwrite=overwrite,
        ),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


@app.command(name="track-composite", epilog=_CODES)
def track_composite(
    output: Annotated[str, typer.Option("--output", "-o", help="File; without an extension the fitting one is added.")],
    room: Room = "",
    audio_track_id: Annotated[str, typer.Option("--audio-track-id", help="Audio track.", show_default=False)] = "",
    video_track_id: Annotated[str, typer.Option("--video-track-id", help="Video track.", show_default=False)] = "",
    url: Url = "",
    api_key: ApiKey = "",
    api_secret: ApiSecret = "",
    token: Token = "",
    duration: Duration = "",
    wait: Wait = f"{DEFAULT_WAIT:g}s",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Record one audio and one video track by their ids into one file, as they were published.

    \b
    pyegress record track-composite --room standup --video-track-id TR_VC1 --audio-track-id TR_AM1 -o talk
    """
    _run(
        lambda: record_track_composite(
            room=room,
            output=output,
            audio_track_id=audio_track_id,
            video_track_id=video_track_id,
            url=url,
            api_key=api_key,
            api_secret=api_secret,
            token=token,
            duration=_seconds(duration, "duration"),
            wait=_seconds(wait, "wait"),
            overwrite=overwrite,
        ),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


@app.command(epilog=_CODES)
def tracks(
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the files and their index.json.")],
    room: Room = "",
    url: Url = "",
    api_key: ApiKey = "",
    api_secret: ApiSecret = "",
    token: Token = "",
    duration: Duration = "",
    wait: Wait = f"{DEFAULT_WAIT:g}s",
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Record every track of everybody, one file each, as they come and go.

    index.json says whose each file is, and when it starts and ends on one clock. Ends when the room ends.

    \b
    pyegress record tracks --room standup -o standup/
    """
    _run(
        lambda: record_tracks(
            room=room,
            output=output,
            url=url,
            api_key=api_key,
            api_secret=api_secret,
            token=token,
            duration=_seconds(duration, "duration"),
            wait=_seconds(wait, "wait"),
            overwrite=overwrite,
        ),
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


def _seconds(text: str, option: str) -> float | None:
    """`90`, `90s`, `1h30m` as seconds; None for nothing and for 0."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    try:
        for character in text.strip().lower():
            if character in units:
                total += float(number) * units[character]
                number = ""
            else:
                number += character
        total += float(number) if number else 0.0
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time; write 90, 90s, 15m or 1h30m", param_hint=f"--{option}"
        ) from None
    if total < 0:
        raise typer.BadParameter("must not be negative", param_hint=f"--{option}")
    return total or None


def _run(make: Callable[[], Recording], *, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Make the recording, run it to its end, print what came of it, and exit with the code that says so."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aioice").setLevel(logging.WARNING)
    try:
        recording = make()
    except EgressError as error:
        _fail(error)
        raise typer.Exit(exit_codes.of_error(error)) from None
    line = LiveLine(quiet=quiet or verbose)
    result = _loop_runner()(_record(recording, line))
    line.clear()
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        _print(result)
    if result.error is not None:
        _fail(result.error)
    raise typer.Exit(exit_codes.of_result(result))


async def _record(recording: Recording, line: LiveLine) -> RecordingResult:
    loop = asyncio.get_running_loop()
    async with recording:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, recording.stop)
        async for progress in recording.progress():
            line.show(progress)
        return await recording.wait()


def _loop_runner() -> Callable[..., RecordingResult]:
    with suppress(ImportError):
        import uvloop

        return uvloop.run
    return asyncio.run


def _print(result: RecordingResult) -> None:
    for file in result.files:
        streams = " + ".join(
            f"{stream.codec} {stream.size[0]}x{stream.size[1]}" if stream.size else stream.codec
            for stream in file.streams
        )
        typer.echo(f"{file.path}  {duration(file.duration)}  {streams}  {size(file.size)}")
        for warning in file.warnings:
            typer.echo(f"pyegress: warning: {warning}", err=True)
    for warning in result.warnings:
        typer.echo(f"pyegress: warning: {warning}", err=True)
    if not result.files and result.error is None:
        typer.echo("pyegress: stopped before any media came: nothing was recorded", err=True)


def _fail(error: EgressError) -> None:
    typer.echo(f"pyegress: {error.message}.", err=True)
    if error.remedy:
        typer.echo(f"  {error.remedy}.", err=True)
