"""Frames with a process of their own, because they show another site than their page: which of them crashed. Pure."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)


class SiteFrames:
    """Hears what the Target domain of DevTools tells of all targets; only frames count.

    A frame that crashed stays, grey, until the page is loaded again. Frames of a page that crashes itself are destroyed
    with it, and so are none of these. A worker is never said to have crashed: one of the page ends with the page or
    the frame that made it, a shared or service worker is started again by whoever needs it.
    """

    def __init__(self) -> None:
        #: Frames by target: the host of their URL, "" for what has none (about:srcdoc, data:).
        self._hosts: dict[str, str] = {}
        self._crashed: dict[str, str] = {}

    @property
    def crashed(self) -> str:
        """What crashed first and is still to be seen, in words, "" when all frames live."""
        return next((_named(host) for host in self._crashed.values()), "")

    def hear(self, method: str, event: dict[str, Any]) -> None:
        """An event of the browser's session."""
        match method:
            case "Target.targetCreated" | "Target.targetInfoChanged" if event["targetInfo"]["type"] == "iframe":
                info = event["targetInfo"]
                self._hosts[info["targetId"]] = urlsplit(info["url"]).hostname or ""
            case "Target.targetCrashed" if (host := self._hosts.get(event["targetId"])) is not None:
                # Without the rest of its URL, where secrets may be.
                logger.info("%s crashed (%s)", _named(host), event["status"])
                self._crashed[event["targetId"]] = host
            case "Target.targetDestroyed":
                self._hosts.pop(event["targetId"], None)
                self._crashed.pop(event["targetId"], None)
            case _:
                pass


def _named(host: str) -> str:
    return f"a frame of {host}" if host else "a frame"
