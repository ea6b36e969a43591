"""Where copies in the foreground go. A plain path is understood without loading what other outputs need."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyegress.errors import InvalidRequest
from pyegress.plan.encoding_arguments import COPY, EncodingArguments

if TYPE_CHECKING:
    from pyegress.plan.storage import Storage
    from pyegress.worker.output_arguments import OutputPaths


def asked_of_encoders(encoding: EncodingArguments, max_file_size: int | None, *, copy: bool) -> EncodingArguments:
    """What is asked of the encoders; of copies nothing may be. Raises InvalidRequest."""
    if not (copy or encoding.copies):
        return encoding
    encoding.require_none_for_copies()
    if max_file_size is not None:
        raise InvalidRequest(
            "The option max_file_size makes no sense for copies of the packets",
            field="max_file_size",
            remedy="Limit the duration instead, or let the recording be encoded",
        )
    return EncodingArguments(preset=COPY)


def is_one_file(output: OutputPaths) -> bool:
    """Whether they name one file, whose place in time is mended when more is known. Raises InvalidRequest."""
    if _plain(output):
        return True
    from pyegress.worker.output_arguments import is_one_file as is_one_word

    return is_one_word(output)


def place_of_copies(output: OutputPaths, *, many: bool) -> tuple[str, Storage | None]:
    """The file (`many`: the folder), and its storage. Raises InvalidRequest."""
    if plain := _plain(output):
        return plain, None
    from pyegress.worker.output_arguments import copy_place

    return copy_place(output, many=many)


def _plain(output: OutputPaths) -> str:
    """A path and nothing but a path; "" for what may be something else."""
    path = os.fspath(output) if isinstance(output, str | os.PathLike) else ""
    return path if ":" not in path else ""
