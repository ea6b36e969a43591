"""Outputs as a program or a command line names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from pyegress.errors import InvalidRequest
from pyegress.plan.output_words import FileWord, OutputWord, StreamWord, parse_output
from pyegress.plan.storage import Storage, StorageDefaults, storage_for
from pyegress.plan.storage_urls import azure_endpoint, storage_of

#: A file or, as `pyegress.plan.output_words` explains, HLS, images or a stream.
OutputPath = str | os.PathLike[str]
OutputPaths = OutputPath | Sequence[OutputPath]


def output_words(output: OutputPaths) -> tuple[OutputWord, ...]:
    """What they mean. Raises InvalidRequest with the field `output`."""
    return tuple(_from_anywhere(parse_output(text)) for text in _texts(output))


def is_one_file(output: OutputPaths) -> bool:
    """Whether they name one file. Raises InvalidRequest with the field `output`."""
    texts = _texts(output)
    return len(texts) == 1 and isinstance(parse_output(texts[0]), FileWord)


def copy_place(output: OutputPaths, *, many: bool) -> tuple[str, Storage | None]:
    """Where copies go: one file (`many`: a folder), and its storage. Raises InvalidRequest with the field `output`."""
    texts = _texts(output)
    word = parse_output(texts[0]) if len(texts) == 1 else None
    if isinstance(word, FileWord) and not word.place:
        return word.path, None
    if many:
        raise InvalidRequest(
            "A recording of every track goes to a folder of this machine",
            field="output",
            remedy="Name a folder, or record single tracks",
        )
    if isinstance(word, FileWord):
        return word.path, _storage(word.place)
    raise InvalidRequest(
        "The copy of a track goes to one file",
        field="output",
        remedy="Give one file; a participant or a track-composite is copied to HLS and streams too (--copy)",
    )


def _storage(place: str) -> Storage:
    defaults = StorageDefaults(azure_endpoint=azure_endpoint(os.environ))
    return storage_for((storage_of(place, os.environ),), defaults)


def _texts(output: OutputPaths) -> list[str]:
    outputs = [output] if isinstance(output, str | os.PathLike) else output
    return [os.fspath(output) for output in outputs]


def _from_anywhere(word: OutputWord) -> OutputWord:
    """Names of requests cannot leave their folder; whoever types a path may."""
    if isinstance(word, StreamWord) or word.place or ".." not in word.path.split("/"):
        return word
    return replace(word, path=os.path.abspath(word.path) + ("/" if word.path.endswith("/") else ""))
