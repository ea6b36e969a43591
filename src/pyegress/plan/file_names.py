"""The container and the full name of a file: by what was negotiated, or by the codecs that arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyegress.codecs import Codec
from pyegress.plan.containers import Container, container_for
from pyegress.plan.names import container_refuses, no_common_container
from pyegress.plan.output_names import fill_name, with_extension
from pyegress.plan.recording_plan import FileOutput, ImageOutput, Output, RecordingPlan, SegmentOutput

#: Extensions that decide the container of a file without a type. The others follow what is recorded, since clients
#: write `.mp4` or `.ogg` without meaning it.
_DECIDING = frozenset({Container.WEBM, Container.WAV, Container.FLAC})
_ALIASES = frozenset(extension for container in Container for extension in container.value.extensions)


def named_container(name: str, *, any_extension: bool) -> Container | None:
    """The container that the extension of `name` decides; None when it leaves that open."""
    found = Container.from_path(name)
    if found is None or any_extension:
        return found
    return found if found in _DECIDING and name.lower().endswith(found.extension) else None


def file_name(name: str, container: Container, *, any_extension: bool) -> str:
    """`name` with the extension of `container`."""
    if any_extension and Container.from_path(name) is container:
        return name
    return with_extension(name, container.extension)


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """Where copies of certain codecs go."""

    path: str
    container: Container


def copy_target(output: FileOutput, tokens: Mapping[str, str], codecs: frozenset[Codec]) -> CopyTarget:
    """The file for copies of `codecs`; `tokens` are those known after joining.

    A container that was asked for by type must hold them all, and so must one named by extension in the foreground
    (`any_extension`), else InvalidRequest; otherwise an extension that does not fit is replaced.
    """
    named = output.container or named_container(output.path, any_extension=output.any_extension)
    container = named
    for codec in sorted(codecs, key=lambda codec: codec.label):
        if named is None or named.holds(codec):
            continue
        if output.container or output.any_extension:
            raise container_refuses(named, codec, output.path)
        container = None
    container = container or container_for(codecs)
    if container is None:
        raise no_common_container(codecs)
    name = file_name(output.path, container, any_extension=output.any_extension)
    return CopyTarget(fill_name(name, tokens, _ALIASES), container)


PUBLISHER = "{publisher_identity}"


def waits_for_publisher(plan: RecordingPlan) -> bool:
    """Whether names have a token that is known only when a track is: whose it is."""
    return any(PUBLISHER in name for output in plan.outputs for name in _names(output))


def _names(output: Output) -> tuple[str, ...]:
    match output:
        case FileOutput(path=path):
            return (path,)
        case SegmentOutput(names=names):
            return names.playlist, names.live_playlist, names.prefix
        case ImageOutput(prefix=prefix):
            return (prefix,)
        case _:
            return ()


def resolve_names(plan: RecordingPlan, tokens: Mapping[str, str]) -> RecordingPlan:
    """The plan with the tokens that became known after joining in every name."""
    return replace(plan, outputs=tuple(_resolved(output, tokens) for output in plan.outputs))


def _resolved(output: Output, tokens: Mapping[str, str]) -> Output:
    match output:
        case FileOutput():
            return replace(output, path=fill_name(output.path, tokens, _ALIASES))
        case SegmentOutput():
            names = output.names
            filled = replace(
                names,
                playlist=fill_name(names.playlist, tokens),
                live_playlist=fill_name(names.live_playlist, tokens),
                prefix=fill_name(names.prefix, tokens),
            )
            return replace(output, names=filled)
        case ImageOutput():
            return replace(output, prefix=fill_name(output.prefix, tokens))
        case _:
            return output
