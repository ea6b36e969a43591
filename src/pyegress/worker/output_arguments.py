"""Outputs as a program or a command line names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from pyegress.errors import InvalidRequest
from pyegress.plan.output_words import FileWord, OutputWord, StreamWord, parse_output

#: A file or, as `pyegress.plan.output_words` explains, HLS, images or a stream.
OutputPath = str | os.PathLike[str]
OutputPaths = OutputPath | Sequence[OutputPath]


def output_words(output: OutputPaths) -> tuple[OutputWord, ...]:
    """What they mean. Raises InvalidRequest with the field `output`."""
    return tuple(_from_anywhere(parse_output(text)) for text in _texts(output))


def copy_path(output: OutputPaths) -> str:
    """Where copies go: one file. Raises InvalidRequest with the field `output`."""
    texts = _texts(output)
    if len(texts) == 1 and isinstance(word := parse_output(texts[0]), FileWord):
        return word.path
    raise InvalidRequest(
        "Copies of the packets go to one file",
        field="output",
        remedy="Give one file, or let the recording be encoded (without --copy)",
    )


def _texts(output: OutputPaths) -> list[str]:
    outputs = [output] if isinstance(output, str | os.PathLike) else output
    return [os.fspath(output) for output in outputs]


def _from_anywhere(word: OutputWord) -> OutputWord:
    """Names of requests cannot leave their folder; whoever types a path may."""
    if isinstance(word, StreamWord) or ".." not in word.path.split("/"):
        return word
    return replace(word, path=os.path.abspath(word.path) + ("/" if word.path.endswith("/") else ""))
