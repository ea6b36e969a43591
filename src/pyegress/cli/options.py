"""The options that every recording command has: one table, from which `--help` and the arguments come."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import Field, dataclass, field, fields
from functools import wraps
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from pyegress.cli.connection import PANEL, ApiKey, ApiSecret, Url
from pyegress.cli.wording import Wording
from pyegress.plan.copy_plan import DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT
from pyegress.plan.encoding_arguments import (
    AUDIO_CODECS,
    COPY,
    HARDWARE,
    PRESET_NAMES,
    QUALITIES,
    VIDEO_CODECS,
    EncodingArguments,
)

P = ParamSpec("P")

_CONNECTION, _SHOWN = PANEL, "What is shown"
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgt]i?)?b?)", re.ASCII)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Common:
    """What all recording commands are told."""

    room: Annotated[
        str,
        typer.Option("--room", "-r", help="Name of the room; only a token may name it instead.", show_default=False),
    ] = ""
    url: Url = ""
    api_key: ApiKey = ""
    api_secret: ApiSecret = ""
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

    #: Not an option: how the command that runs calls its options.
    wording: Wording = field(default_factory=Wording)

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


#: Options of `Common` that are about a LiveKit server.
CONNECTION = frozenset({"room", "url", "api_key", "api_secret", "token", "reconnect_window"})
_ENCODING = "Encoding"
_PRESETS = ", ".join(name for name in PRESET_NAMES if name != COPY and not name.startswith("PORTRAIT"))
_PRESET_HELP = f"{_PRESETS}, or PORTRAIT_ before any of them. [default: H264_720P_30]"


def _one_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


@dataclass(frozen=True, slots=True)
class Encoded(Common):
    """What recording commands that encode are told besides."""

    preset: Annotated[
        str,
        typer.Option(
            help=_PRESET_HELP,
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
            help=f"{_one_of(VIDEO_CODECS)}.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""
    audio_codec: Annotated[
        str, typer.Option(help=f"{_one_of(AUDIO_CODECS)}.", show_default=False, rich_help_panel=_ENCODING)
    ] = ""
    key_frame_interval: Annotated[
        float, typer.Option(help="Seconds between key frames.", show_default=False, rich_help_panel=_ENCODING)
    ] = 0.0
    quality: Annotated[
        str,
        typer.Option(
            help=f"{_one_of(QUALITIES)}: CPU against picture. [default: standard]",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""
    hardware: Annotated[
        str,
        typer.Option(
            help=f"{_one_of(HARDWARE)}: what encodes H.264. [default: none]",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""
    max_file_size: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Stop when the file is about so large: 500M, 2G.", show_default=False),
    ] = ""

    def arguments(self) -> dict[str, Any]:
        """`Common.arguments`, and the limit of the file."""
        # No super(): a dataclass with slots is another class than the one that was written down.
        return Common.arguments(self) | {"max_file_size": octets(self.max_file_size, "max-file-size")}

    def encoding(self) -> dict[str, Any]:
        """`EncodingOptions` of `pyegress.worker.record`."""
        return {option.name: getattr(self, option.name) for option in fields(EncodingArguments)}


@dataclass(frozen=True, slots=True)
class Copyable(Encoded):
    """`Encoded` for what can be copied too."""

    preset: Annotated[
        str,
        typer.Option(
            help=f"{_PRESET_HELP} {COPY.lower()} is the same as --copy.",
            show_default=False,
            rich_help_panel=_ENCODING,
        ),
    ] = ""


T = TypeVar("T")


def with_common_options(
    table: type[T] = Common,  # type: ignore[assignment]
    *,
    without: Collection[str] = (),
    **defaults: str,
) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """Give a command, whose first parameter takes a `table`, an option for each of its fields but `wording`.

    `defaults` are those of this command where they differ from the table's; it has nothing to do with fields `without`.
    """
    options = [option for option in _options(table) if option.name not in without]

    def decorate(command: Callable[Concatenate[T, P], None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]
        common = [
            inspect.Parameter(
                option.name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(option.name, option.default)
            )
            for option in options
        ]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @wraps(command)
        def run(context: typer.Context, **given: Any) -> None:
            told = {option.name: given.pop(option.name) for option in options}
            command(table(**told, wording=_wording(context)), **given)  # type: ignore[call-arg]

        # Each time all annotations are evaluated, which takes a millisecond.
        of_command, of_table = _hints(command), _hints(table)
        hints = {parameter.name: hint for parameter in own if (hint := of_command.get(parameter.name))}
        annotations = hints | {option.name: of_table[option.name] for option in options}
        # Typer reads the signature: the command's own options first, as they say what it is about.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                context,
                *(
                    parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotations[parameter.name])
                    for parameter in (*own, *common)
                ),
            ]
        )
        run.__annotations__ = annotations | {"context": typer.Context}
        return run

    return decorate


def _options(table: Any) -> list[Field[Any]]:
    return [option for option in fields(table) if option.name != "wording"]


def _wording(context: typer.Context) -> Wording:
    """What the command that runs calls its parameters, and which of them were given."""
    names = {option.name: max(option.opts, key=len) for option in context.command.params if option.name}
    told = ("COMMANDLINE", "ENVIRONMENT")
    sources = {name: context.get_parameter_source(name) for name in names}
    return Wording(names, [name for name, source in sources.items() if source is not None and source.name in told])


def _hints(of: Any) -> dict[str, Any]:
    return get_type_hints(of, include_extras=True)


def seconds(text: str, option: str) -> float:
    """`90`, `90s`, `15m`, `1h30m` as seconds; 0 for nothing. Raises typer.BadParameter."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no time; write 90, 90s, 15m or 1h30m", param_hint=f"--{option}")
    hours, minutes, rest = (float(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + rest


def octets(text: str, option: str) -> int | None:
    """`800k`, `500M`, `1.5GB` (powers of 1000) or `2GiB` (of 1024) as bytes; None for nothing. Raises BadParameter."""
    if not text:
        return None
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no size; write 500M, 2G or a number of bytes", param_hint=f"--{option}")
    number, unit = match.groups()
    step = 1024 if unit and unit.endswith("i") else 1000
    return int(float(number) * float(step ** (" kmgt".index(unit[0]) if unit else 0)))
