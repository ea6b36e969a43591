"""Names of what an egress writes, as requests give them: cleaned, templated, with the extension that is true.

A name is a path below the storage's root, `/` between folders; a leading `/` is kept. Tokens that are known only after
joining stay in it until `fill_name`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyegress.clock import Wall
from pyegress.errors import InvalidRequest
from pyegress.plan.containers import KNOWN_EXTENSIONS, PLAYLIST
from pyegress.plan.names import fill_template, safe_component, time_tokens
from pyegress.plan.refusals import invalid_field, not_retryable

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_PARENTS = re.compile(r"^(\.\./)+")
_TOKEN = re.compile(r"\{\w+\}")
RETRY = "{retry}"
#: Bytes of a room name or track id in an automatic name: room for time, retry, number and extension.
_MAX_SUBJECT = 160


def clean_path(path: str) -> str:
    """`path` normalised so that it cannot leave its root; a leading and a trailing `/` stay, `.` and `..` are empty."""
    path = _CONTROL.sub("_", path)
    if not path:
        return ""
    root = "/" if path.startswith("/") else ""
    folder = path.endswith(("/", "/.", "/..")) or path in (".", "..")
    inside = _PARENTS.sub("", posixpath.normpath(path.lstrip("/") or ".") + "/").strip("/")
    if inside in (".", "..", ""):
        return root
    return root + inside + ("/" if folder else "")


@dataclass(frozen=True, slots=True)
class Naming:
    """What names are made of at request time: `tokens` with their values, and who or what automatic names begin with.

    `subject` is a room name, a track id or `web`; or a token that is known after joining.
    """

    tokens: tuple[tuple[str, str], ...]
    subject: str
    retry: int

    @classmethod
    def at(cls, now: Wall, *, subject: str, retry: int, **tokens: str) -> Naming:
        """Naming of an egress that was asked for `now`. Tokens without a value are left for later."""
        known = time_tokens(now) | {name: value for name, value in tokens.items() if value}
        if retry > 0:
            known["retry"] = str(retry)
        return cls(tuple(sorted(known.items())), subject, retry)

    @property
    def automatic(self) -> str:
        """The name of what was given none."""
        subject = self.subject if _TOKEN.fullmatch(self.subject) else safe_component(self.subject, limit=_MAX_SUBJECT)
        tail = f"-{self.retry}" if self.retry > 0 else ""
        return f"{subject}-{dict(self.tokens)['time']}{tail}"

    def fill(self, name: str, extensions: frozenset[str] = frozenset()) -> str:
        """`name` with every token that is known."""
        return fill_name(name, dict(self.tokens), extensions)

    def require_retry(self, field: str, name: str) -> None:
        """Refuse a retry under a name that the first attempt used."""
        if self.retry > 0 and name and not name.endswith("/") and RETRY not in name:
            raise not_retryable(field, name)


def fill_name(name: str, tokens: Mapping[str, str], extensions: frozenset[str] = frozenset()) -> str:
    """`name` with `tokens` filled in; a name that gets too long is cut before its extension, if it is a known one."""
    stem, extension = _split(name, extensions | KNOWN_EXTENSIONS)
    return fill_template(stem, tokens) + extension


def _split(name: str, extensions: frozenset[str]) -> tuple[str, str]:
    stem, extension = posixpath.splitext(name)
    return (stem, extension) if stem and extension.lower() in extensions else (name, "")


def strip_extension(name: str) -> str:
    """`name` without an extension that means a kind of output; what is behind any other dot belongs to the name."""
    return _split(name, KNOWN_EXTENSIONS)[0]


def with_extension(name: str, extension: str) -> str:
    """`name` ending in `extension`: kept, replaced when it means another kind of output, appended otherwise."""
    return name if name.lower().endswith(extension) else strip_extension(name) + extension


def base_name(path: str, naming: Naming, *, field: str) -> str:
    """The path of one file without its extension being right yet; empty and `folder/` get the automatic name."""
    cleaned = clean_path(path)
    naming.require_retry(field, cleaned)
    filled = naming.fill(cleaned)
    return filled + naming.automatic if not filled or filled.endswith("/") else filled


@dataclass(frozen=True, slots=True)
class SegmentNames:
    """The names of an HLS output. `prefix` is followed by `_00000.ts` or a time; `live_playlist` "" is none."""

    playlist: str
    live_playlist: str
    prefix: str


def segment_names(prefix: str, playlist: str, live_playlist: str, naming: Naming) -> SegmentNames:
    """Bring the names of playlist and segments together: missing ones follow the other, folders are shared.

    Different folders nest: segments keep theirs below that of the playlist.
    """
    prefix, playlist, live_playlist = clean_path(prefix), clean_path(playlist), clean_path(live_playlist)
    if naming.retry > 0:
        naming.require_retry("filename_prefix", prefix)
        if not prefix:
            naming.require_retry("playlist_name", playlist)
    folder, name = posixpath.split(playlist)
    prefix_folder, prefix_name = posixpath.split(prefix)
    name = strip_extension(name)
    if not name and not prefix_name:
        name = prefix_name = naming.automatic
    name, prefix_name = name or prefix_name, prefix_name or name
    if not folder or not prefix_folder or folder == prefix_folder:
        folder = prefix_folder = folder or prefix_folder
    else:
        prefix_folder = posixpath.join(folder, prefix_folder.lstrip("/"))
    playlist = naming.fill(posixpath.join(folder, name)) + PLAYLIST[0]
    return SegmentNames(
        playlist=playlist,
        live_playlist=_live_playlist(live_playlist, folder, playlist, naming) if live_playlist else "",
        prefix=naming.fill(posixpath.join(prefix_folder, prefix_name)),
    )


def _live_playlist(asked: str, folder: str, playlist: str, naming: Naming) -> str:
    own_folder, name = posixpath.split(asked)
    if own_folder not in ("", folder):
        raise invalid_field(
            "live_playlist_name must be in same directory as playlist_name",
            f"The live playlist is to lie in {own_folder!r}, the playlist in {folder!r}",
            "Give live_playlist_name without a folder",
        )
    if not name:
        raise invalid_field("live_playlist_name", "The live playlist has a folder but no name", "Give it a name")
    live = naming.fill(posixpath.join(folder, strip_extension(name))) + PLAYLIST[0]
    if live == playlist:
        raise invalid_field(
            "live_playlist_name cannot be identical to playlist_name",
            "Both playlists would be one file",
            "Give live_playlist_name another name",
        )
    return live


def taken_twice(field: str, name: str) -> InvalidRequest:
    """Two outputs of one request that would overwrite each other."""
    return invalid_field(field, f"Two outputs would write {name!r}", "Give each output a name of its own")
