"""Where the programs are that a page needs, and what is missing."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from pyegress.browser.failures import BrowserMissing

#: In the order of preference. Debian's script only adds switches that are meant for people.
_BROWSERS = (
    *("/usr/lib/chromium/chromium", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    *("google-chrome-beta", "microsoft-edge", "brave-browser"),
)
_INSTALL = "On Debian: apt-get install chromium xvfb pulseaudio"


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths."""

    browser: str
    display: str
    sound: str


def find_programs(browser: str = "") -> Programs:
    """The programs; `browser` is a path or a name instead of what would be found. Raises BrowserMissing."""
    found = [path for name in ((browser,) if browser else _BROWSERS) if (path := shutil.which(name))]
    display, sound = shutil.which("Xvfb"), shutil.which("pulseaudio")
    missing = [] if found else [browser or "Chromium"]
    missing += [name for name, path in (("Xvfb", display), ("PulseAudio", sound)) if not path]
    if missing or not display or not sound:
        verb = "is" if len(missing) == 1 else "are"
        raise BrowserMissing(
            f"Web pages cannot be recorded here: {' and '.join(missing)} {verb} missing",
            remedy="Correct browser.executable" if browser and not found else _INSTALL,
            field="browser.executable" if browser and not found else "",
        )
    return Programs(found[0], display, sound)


def missing_programs(browser: str = "") -> BrowserMissing | None:
    """Why pages cannot be recorded; None when they can."""
    try:
        find_programs(browser)
    except BrowserMissing as error:
        return error
    return None


def shared_memory_is_small() -> bool:
    """Whether /dev/shm is too small for a browser, as in most containers."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return True
    return room.f_bavail * room.f_frsize < 512 * 1024 * 1024
