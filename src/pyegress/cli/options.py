"""The options that every recording command has: one table, from which `--help` and the arguments come."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from pyegress.plan.copy_plan import DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT

P = ParamSpec("P")

_CONNECTION, _SHOWN = "Connection", "What is shown"
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Common:
    """What all recording commands are told."""

    room: Annotated[
        str,
        typer.Option("--room", "-r", help="Name of the room; only a token may name it instead.", show_default=False),
    ] = ""
    url: Annotated[
        str,
        typer.Option(
            envvar="LIVEKIT_URL",
            help="LiveKit server, e.g. ws://localhost:7880.",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = ""
    api_key: Annotated[
        str, typer.Option(envvar="LIVEKIT_API_KEY", help="API key.", show_default=False, rich_help_panel=_CONNECTION)
    ] = ""
    api_secret: Annotated[
        str,
        typer.Option(
            envvar="LIVEKIT_API_SECRET",
            help="API secret; safer in the environment, where other users do not see it.",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = ""
    token: Annotated[
        str,
        typer.Option(
            envvar="LIVEKIT_TOKEN",
            help="A ready access token instead of key and secret.",
            show_default=False,
            rich_help_panel=_CONNECTION,
        ),
    ] = ""
    reconnect_window: Annotated[
        str,
        typer.Option(
            help="How long a lost connection is tried again before the recording ends.",
            metavar="TIME",
            rich_help_panel=_CONNECTION,
        ),
    ] = f"{DEFAULT_RECONNECT_WINDOW:g}s"
    duration: Annotated[
        str,
        typer.Option(
            "--duration", "-d", metavar="TIME", help="Stop after this long: 90, 90s, 15m, 1h30m.", show_default=False
        ),
    ] = ""
    wait: Annotated[
        str, typer.Option(metavar="TIME", help="How long room and source may be missing at first; 0: without limit.")
    ] = f"{DEFAULT_WAIT:g}s"
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files that exist.")] = False
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on standard output.", rich_help_panel=_SHOWN)
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=_SHOWN)] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.", rich_help_panel=_SHOWN)] = False

    def arguments(self) -> dict[str, Any]:
        """Those that the functions of `pyegress.worker.record` have in common. Raises typer.BadParameter."""
        return {
            "room": self.room,
            "url": self.url,
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "token": self.token,
            "duration": seconds(self.duration, "duration") or None,
            "wait": seconds(self.wait, "wait") or None,
            "reconnect_window": seconds(self.reconnect_window, "reconnect-window"),
            "overwrite": self.overwrite,
        }


_ENCODING = "Encoding"


@dataclass(frozen=True, slots=True)
class Encoded(Common):
    """What recording commands that encode are told besides."""

    preset: Annotated[
        str,
        typer.Option(
            help="H264_720P_30 (default), H264_720P_60, H264_1080P_30, H264_1080P_60, or PORTRAIT_ before any.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""
    width: Annotated[int, typer.Option(help="Pixels.", show_default=False, rich_help_panel=_ENCODING)] = 0
    height: Annotated[int, typer.Option(help="Pixels.", show_default=False, rich_help_panel=_ENCODING)] = 0
    fps: Annotated[int, typer.Option(help="Pictures a second.", show_default=False, rich_help_panel=_ENCODING)] = 0
    video_bitrate: Annotated[int, typer.Option(help="kbit/s.", show_default=False, rich_help_panel=_ENCODING)] = 0
    audio_bitrate: Annotated[int, typer.Option(help="kbit/s.", show_default=False, rich_help_panel=_ENCODING)] = 0
    video_codec: Annotated[
        str,
        typer.Option(
            help="h264, h264-baseline, h264-main, h264-high, vp8, vp9 or av1.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""
    audio_codec: Annotated[
        str, typer.Option(help="aac, opus, mp3, pcm or flac.", show_default=False, rich_help_panel=_ENCODING)
    ] = ""
    key_frame_interval: Annotated[
        float, typer.Option(help="Seconds between key frames.", show_default=False, rich_help_panel=_ENCODING)
    ] = 0.0
    quality: Annotated[
        str,
        typer.Option(help="economy, standard or high: CPU for picture.", show_default=False, rich_help_panel=_ENCODING),
    ] = ""

    def encoding(self) -> dict[str, Any]:
        """`EncodingOptions` of `pyegress.worker.record`."""
        names = {field.name for field in fields(Encoded)} - {field.name for field in fields(Common)}
        return {name: getattr(self, name) for name in names}


T = TypeVar("T", bound=Common)


def with_common_options(
    table: type[T] = Common,  # type: ignore[assignment]
    **defaults: str,
) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """Give a command, whose first parameter takes a `table`, an option for each of its fields.

    `defaults` are those of this command where they differ from the table's.
    """

    def decorate(command: Callable[Concatenate[T, P], None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]
        common = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(field.name, field.default)
            )
            for field in fields(table)
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            shared = table(**{field.name: given.pop(field.name) for field in fields(table)})
            command(shared, **given)  # type: ignore[call-arg]

        hints = {parameter.name: hint for parameter in own if (hint := _hints(command).get(parameter.name))}
        annotations = hints | {field.name: _hints(table)[field.name] for field in fields(table)}
        # Typer reads the signature: the command's own options first, as they say what it is about.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotations[parameter.name])
                for parameter in (*own, *common)
            ]
        )
        run.__annotations__ = annotations
        return run

    return decorate


def _hints(of: Any) -> dict[str, Any]:
    return get_type_hints(of, include_extras=True)


def seconds(text: str, option: str) -> float:
    """`90`, `90s`, `15m`, `1h30m` as seconds; 0 for nothing. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time; write 90, 90s, 15m or 1h30m", param_hint=f"--{option}")
    hours, minutes, rest = (float(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + rest
