"""`pyegress record …`: one recording in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import pyegress
from pyegress.cli import exit_codes
from pyegress.cli.options import Common, seconds, with_common_options
from pyegress.plan.copy_plan import DEFAULT_GRACE
from pyegress.plan.selection import SOURCES

_CODES = "\b\nExit codes:\n" + exit_codes.table()

app = typer.Typer(
    no_args_is_help=True,
    help="Record from a LiveKit room into files, without a service and without transcoding.",
    epilog=_CODES,
)

Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="File; without an extension the fitting one is added, and a / at the end asks for an automatic name. "
        "Tokens such as {room_name}, {publisher_identity}, {time} and {utc} are filled in.",
    ),
]


@app.command(epilog=_CODES, short_help="Record one track as it was published.")
@with_common_options()
def track(
    common: Common,
    output: Output,
    track_id: Annotated[str, typer.Option("--track-id", help="The track (TR_…).", show_default=False)] = "",
    identity: Annotated[str, typer.Option("--identity", "-i", help="Who publishes it.", show_default=False)] = "",
    source: Annotated[
        str, typer.Option("--source", "-s", help=f"Which of theirs: {', '.join(SOURCES)}.", show_default=False)
    ] = "",
) -> None:
    """Record one track as it was published: H.264, H.265, AV1 to MP4; VP8, VP9 to WebM; Opus to Ogg; G.711 to WAV.

    Ends when the track is unpublished or its participant leaves.

    \b
    Examples:
      pyegress record track -r standup -i alice -s camera -o alice
      pyegress record track -r standup --track-id TR_AMxyz -o talk.ogg -d 15m
    """
    _run(
        lambda: pyegress.record_track(
            output=output, track_id=track_id, identity=identity, source=source, **common.arguments()
        ),
        common,
    )


@app.command(epilog=_CODES, short_help="Record a participant's camera and microphone into one file.")
@with_common_options(wait="0")
def participant(
    common: Common,
    output: Output,
    identity: Annotated[str, typer.Option("--identity", "-i", help="The participant.", show_default=False)] = "",
    screen_share: Annotated[
        bool, typer.Option("--screen-share", help="The screen share and its sound instead of camera and microphone.")
    ] = False,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Who is back within this time has not left.")
    ] = (f"{DEFAULT_GRACE:g}s"),
) -> None:
    """Record a participant's camera and microphone into one file, as they were published.

    Waits for the participant and the tracks; survives mute, unpublish and republish; ends when the participant leaves.

    \b
    Examples:
      pyegress record participant -r standup -i alice -o alice.webm
      pyegress record participant -r standup -i alice --screen-share -o slides
    """
    _run(
        lambda: pyegress.record_participant(
            output=output,
            identity=identity,
            screen_share=screen_share,
            grace=seconds(grace, "grace"),
            **common.arguments(),
        ),
        common,
    )


@app.command(name="track-composite", epilog=_CODES, short_help="Record an audio and a video track into one file.")
@with_common_options()
def track_composite(
    common: Common,
    output: Output,
    audio_track_id: Annotated[str, typer.Option("--audio-track-id", help="Audio track.", show_default=False)] = "",
    video_track_id: Annotated[str, typer.Option("--video-track-id", help="Video track.", show_default=False)] = "",
) -> None:
    """Record one audio and one video track by their ids into one file, as they were published.

    Ends when both are unpublished.

    \b
    Example:
      pyegress record track-composite -r standup --video-track-id TR_VC1 --audio-track-id TR_AM1 -o talk
    """
    _run(
        lambda: pyegress.record_track_composite(
            output=output, audio_track_id=audio_track_id, video_track_id=video_track_id, **common.arguments()
        ),
        common,
    )


@app.command(epilog=_CODES, short_help="Record every track of everybody, one file each.")
@with_common_options()
def tracks(
    common: Common,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Folder for the files and their index.json, e.g. standup/{time}."
        ),
    ],
) -> None:
    """Record every track of everybody, one file each, as they come and go.

    index.json says whose each file is, and when it starts and ends on one clock. Ends when the room ends.

    \b
    Example:
      pyegress record tracks -r standup -o standup/
    """
    _run(lambda: pyegress.record_tracks(output=output, **common.arguments()), common)


def _run(make: Callable[[], pyegress.Recording], common: Common) -> None:
    from pyegress.cli.foreground import run  # help is answered without it

    run(make, common)
