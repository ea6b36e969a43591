"""Where Twitch wants streams: it names its ingest servers by the place of whoever asks."""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import OutputFailed, cause_of
from pyegress.outputs.streaming.failures import stream_failure

LIST = "https://ingest.twitch.tv/ingests"
#: How long an answer is good, seconds.
_VALID = 3600.0
_TIMEOUT = 10.0
_TEMPLATE = re.compile(r"rtmps?://[^ ]+\{stream_key\}[^ ]*")
_REMEDY = "Try again later, or give the ingest URL itself: rtmps://HOST/app/KEY"


class TwitchIngests:
    """Twitch's list, asked for once in a while. `url` is where it is."""

    def __init__(self, url: str = LIST) -> None:
        self._url = url
        self._template = ""
        self._asked_at: Monotonic | None = None

    async def ingest(self, key: str, shown: str) -> str:
        """The ingest URL of a stream key. Raises OutputFailed for `shown` when Twitch does not say one."""
        now = monotonic()
        if self._asked_at is None or now - self._asked_at > _VALID:
            self._template = _best(await self._ask(shown), shown)
            self._asked_at = now
        return self._template.replace("{stream_key}", key)

    async def _ask(self, shown: str) -> Any:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self._url) as answer:
                if answer.status != 200:
                    raise _no_list(shown, f"HTTP {answer.status}")
                return json.loads(await answer.read())
        except TimeoutError:
            raise _no_list(shown, f"no answer within {_TIMEOUT:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise _no_list(shown, cause_of(error.os_error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_list(shown, f"{type(error).__name__}") from None


def _best(answer: Any, shown: str) -> str:
    """The first server of the list, over TLS where it can."""
    for entry in answer.get("ingests") or [] if isinstance(answer, dict) else []:
        for name in ("url_template_secure", "url_template"):
            template = entry.get(name) if isinstance(entry, dict) else None
            if isinstance(template, str) and _TEMPLATE.fullmatch(template):
                return template
    raise stream_failure(shown, "Twitch's list of ingest servers names none (no ingest found)", _REMEDY)


def _no_list(shown: str, cause: str) -> OutputFailed:
    return stream_failure(shown, f"Twitch's list of ingest servers cannot be had ({LIST}): {cause}", _REMEDY)
