"""`pyegress record …`: one recording in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import pyegress
from pyegress.cli import exit_codes
from pyegress.cli.options import CONNECTION, Common, Copyable, Encoded, seconds, with_common_options
from pyegress.plan.copy_plan import DEFAULT_GRACE
from pyegress.plan.selection import SOURCES

_CODES = "\b\nExit codes:\n" + exit_codes.table()

_BROWSER = "Browser"

app = typer.Typer(
    no_args_is_help=True,
    help="Record from a LiveKit room, or a web page, into files, without a service.",
    epilog=_CODES,
)

Copy = Annotated[bool, typer.Option("--copy", help="Write the packets as they were published: nothing is encoded.")]
_OUTPUTS = (
    "A file (without an extension the fitting one is added, a / at the end asks for an automatic name); "
    "hls:FOLDER/NAME.m3u8, with ?duration= of segments, format=ts or fmp4, live=NAME of a live playlist, "
    "suffix=index or timestamp, part= for low latency; images:FOLDER/PREFIX@5s, PREFIX perhaps with .png or .webp, "
    "with ?size=640x360, suffix=index, timestamp or none (always the same file). "
    "streams: rtmp(s)://HOST/APP/KEY, SERVICE://KEY of a known service (youtube, twitch, …), srt://HOST:PORT, "
    "and ws(s)://HOST/PATH for the sound. May be repeated: one encoding feeds all."
)
_TOKENS = (
    "What begins with s3://BUCKET/, gs://BUCKET/, az://CONTAINER/ or oss://BUCKET/ is uploaded, with the environment's "
    "credentials. Tokens such as {room_name}, {publisher_identity}, {time} and {utc} are filled in."
)
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="File; without an extension the fitting one is added, and a / at the end asks for an automatic name. "
        + _TOKENS,
    ),
]
Outputs = Annotated[
    list[str],
    typer.Option(
        "--output",
        "-o",
        metavar="OUTPUT",
        help=f"{_OUTPUTS} {_TOKENS}",
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

    Ends when the track is unpublished or its participant leaves. To a ws:// or wss:// URL goes the decoded sound.

    \b
    Examples:
      pyegress record track -r standup -i alice -s camera -o alice
      pyegress record track -r standup --track-id TR_AMxyz -o talk.ogg -d 15m
      pyegress record track -r standup -i alice -s microphone -o "wss://host/words?pyegress.sample_rate=16000"
    """
    _run(
        lambda: pyegress.record_track(
            output=output, track_id=track_id, identity=identity, source=source, **common.arguments()
        ),
        common,
    )


@app.command(epilog=_CODES, short_help="Record a participant's camera and microphone into one file.")
@with_common_options(Copyable, wait="0")
def participant(
    common: Copyable,
    output: Outputs,
    identity: Annotated[str, typer.Option("--identity", "-i", help="The participant.", show_default=False)] = "",
    screen_share: Annotated[
        bool, typer.Option("--screen-share", help="The screen share and its sound instead of camera and microphone.")
    ] = False,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Who is back within this time has not left.")
    ] = (f"{DEFAULT_GRACE:g}s"),
    copy: Copy = False,
) -> None:
    """Record a participant's camera and microphone into one file: encoded (MP4), or with --copy as published.

    Waits for the participant and the tracks; survives mute, unpublish and republish; ends when the participant leaves.

    \b
    Examples:
      pyegress record participant -r standup -i alice -o alice.mp4
      pyegress record participant -r standup -i alice --copy -o alice
      pyegress record participant -r standup -i alice --screen-share -o slides
    """
    _run(
        lambda: pyegress.record_participant(
            output=output,
            identity=identity,
            screen_share=screen_share,
            grace=seconds(grace, "grace"),
            copy=copy,
            **common.arguments(),
            **common.encoding(),
        ),
        common,
    )


@app.command(name="track-composite", epilog=_CODES, short_help="Record an audio and a video track into one file.")
@with_common_options(Copyable)
def track_composite(
    common: Copyable,
    output: Outputs,
    audio_track_id: Annotated[str, typer.Option("--audio-track-id", help="Audio track.", show_default=False)] = "",
    video_track_id: Annotated[str, typer.Option("--video-track-id", help="Video track.", show_default=False)] = "",
    copy: Copy = False,
) -> None:
    """Record one audio and one video track by their ids into one file: encoded (MP4), or with --copy as published.

    Ends when both are unpublished.

    \b
    Example:
      pyegress record track-composite -r standup --video-track-id TR_VC1 --audio-track-id TR_AM1 -o talk
    """
    _run(
        lambda: pyegress.record_track_composite(
            output=output,
            audio_track_id=audio_track_id,
            video_track_id=video_track_id,
            copy=copy,
            **common.arguments(),
            **common.encoding(),
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


@app.command(epilog=_CODES, short_help="Record everybody in a room into one file.")
@with_common_options(Encoded)
def room(
    common: Encoded,
    output: Outputs,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="grid, speaker or single-speaker, each with -light too; options: names, gap, radius, speaking, "
            'placeholders, as in "grid?names=1&gap=8".',
            show_default=False,
        ),
    ] = "",
    audio_only: Annotated[bool, typer.Option("--audio-only", help="The mix of all sound.")] = False,
    video_only: Annotated[bool, typer.Option("--video-only", help="Pictures without sound.")] = False,
    audio_mixing: Annotated[
        str,
        typer.Option(
            "--audio-mixing", help="default, dual-channel-agent or dual-channel-alternate.", show_default=False
        ),
    ] = "",
    custom_base_url: Annotated[
        str,
        typer.Option("--custom-base-url", help="A web page that draws the room, in Chromium.", show_default=False),
    ] = "",
) -> None:
    """Record everybody in a room into one file: a layout of all pictures and the mix of all sound.

    Ends when the room ends.

    \b
    Examples:
      pyegress record room -r standup -o standup.mp4
      pyegress record room -r standup --layout "speaker?names=1" --preset H264_1080P_30 -o standup
      pyegress record room -r standup --audio-only -o standup.mp3
      pyegress record room -r standup -o s3://meetings/standup.mp4
      pyegress record room -r standup -o "hls:www/standup.m3u8?live=live&duration=2" -o images:www/standup@5s
    """
    _run(
        lambda: pyegress.record_room(
            output=output,
            layout=layout,
            audio_only=audio_only,
            video_only=video_only,
            audio_mixing=audio_mixing,
            custom_base_url=custom_base_url,
            **common.arguments(),
            **common.encoding(),
        ),
        common,
    )


@app.command(epilog=_CODES, short_help="Record any web page.")
@with_common_options(Encoded, without=CONNECTION)
def web(
    common: Encoded,
    output: Outputs,
    url: Annotated[str, typer.Option("--url", help="The page, http:// or https://.", show_default=False)],
    await_start_signal: Annotated[
        bool,
        typer.Option("--await-start-signal", help="Begin when the page writes START_RECORDING to its console."),
    ] = False,
    audio_only: Annotated[bool, typer.Option("--audio-only", help="What the page plays.")] = False,
    video_only: Annotated[bool, typer.Option("--video-only", help="What the page shows.")] = False,
    webgl: Annotated[bool, typer.Option("--webgl", help="WebGL, drawn by the CPU.", rich_help_panel=_BROWSER)] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Check no certificates.", rich_help_panel=_BROWSER)
    ] = False,
    chromium: Annotated[
        str, typer.Option("--chromium", help="Chromium or Chrome to use.", show_default=False, rich_help_panel=_BROWSER)
    ] = "",
    block_private_networks: Annotated[
        bool,
        typer.Option(
            "--block-private-networks", help="The page reaches no private addresses.", rich_help_panel=_BROWSER
        ),
    ] = False,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="The page reaches nothing else: example.com, https://*.example.com/public/. May be repeated.",
            rich_help_panel=_BROWSER,
            show_default=False,
        ),
    ] = None,
    deny_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="The page does not reach this; of two patterns that fit the more precise one decides.",
            rich_help_panel=_BROWSER,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Record what a web page shows and plays: in Chromium, at exactly the size of the output.

    Begins when the page has loaded and drawn; ends when it writes END_RECORDING to its console, at a limit, or Ctrl-C.

    \b
    Examples:
      pyegress record web --url https://example.com/board -o board.mp4 -d 10m
      pyegress record web --url https://example.com/show --await-start-signal --preset H264_1080P_30 -o show
      pyegress record web --url https://example.com/show -o show.mp4 -o rtmp://live.example/app/KEY
    """
    from pyegress.plan.browser_options import BrowserOptions

    given = common.arguments()
    _run(
        lambda: pyegress.record_web(
            url=url,
            output=output,
            await_start_signal=await_start_signal,
            audio_only=audio_only,
            video_only=video_only,
            browser=BrowserOptions(
                executable=chromium,
                webgl=webgl,
                insecure=insecure,
                block_private_networks=block_private_networks,
                allow_urls=tuple(allow_url or ()),
                deny_urls=tuple(deny_url or ()),
            ),
            **{name: value for name, value in given.items() if name not in CONNECTION},
            **common.encoding(),
        ),
        common,
    )


def _run(make: Callable[[], pyegress.Recording], common: Common) -> None:
    from pyegress.cli.foreground import run  # help is answered without it

    run(make, common)
