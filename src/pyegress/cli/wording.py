"""Errors in the words of the command line: fields and arguments are named as the options that were typed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pyegress.errors import EgressError, InvalidRequest

#: Fields by the option that sets them, where the names differ.
_SAME = {"room_name": "room", "filepath": "output", "ws_url": "url"}


@dataclass(frozen=True, slots=True)
class Wording:
    """What a command calls its parameters: `{"video_bitrate": "--video-bitrate"}`, and those that were given."""

    options: Mapping[str, str] = field(default_factory=dict)
    given: Collection[str] = ()

    def sentences(self, error: EgressError) -> list[str]:
        """What went wrong, and what to do unless nothing is known; as sentences."""
        cause = self._worded(error.message)
        name = _SAME.get(error.field, error.field)
        option = self.options.get(name, "")
        if isinstance(error, InvalidRequest) and name in self.given and option and option not in cause:
            cause = f"{option}: {cause}"
        return [_sentence(text) for text in (cause, self._worded(error.remedy)) if text]

    def _worded(self, text: str) -> str:
        """`text` with parameters named as options: those that are no words, and those that are called an option."""
        return re.sub(r"(?<=option )(\w+)|\b(\w+_\w+)\b", self._option, text)

    def _option(self, name: re.Match[str]) -> str:
        return self.options.get(name[0]) or self.options.get(_SAME.get(name[0], ""), name[0])


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
