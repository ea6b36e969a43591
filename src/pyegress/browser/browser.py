"""Everything that one page needs, opened together and ended together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
from pathlib import Path
from typing import Self

from pyegress.browser.devtools import DevTools
from pyegress.browser.failures import BrowserFailed
from pyegress.browser.kept_processes import KeptProcesses
from pyegress.browser.programs import Programs, find_programs, shared_memory_is_small
from pyegress.browser.proxy import FilteringProxy
from pyegress.browser.request_filter import RequestFilter
from pyegress.browser.sound_server import SoundServer, open_sound
from pyegress.browser.switches import Situation, preferences, switches
from pyegress.browser.url_rules import UrlRules
from pyegress.browser.x_display import XDisplay, open_display
from pyegress.browser.x_refresh import refresh_rate
from pyegress.errors import EgressError
from pyegress.plan.browser_options import BrowserOptions, Sandbox

logger = logging.getLogger(__name__)

#: For Chromium to answer the first time, seconds.
START_TIMEOUT = 30.0
_LOCALE = {"LANG": "C.UTF-8", "TZ": os.environ.get("TZ", "")}


class Browser:
    """A display, a sound daemon, a proxy and a Chromium, for one page. Made by `open`."""

    def __init__(
        self,
        processes: KeptProcesses,
        proxy: FilteringProxy,
        display: XDisplay,
        sound: SoundServer,
        devtools: DevTools,
        requests: RequestFilter,
        warnings: tuple[str, ...],
    ) -> None:
        self.processes = processes
        self.proxy = proxy
        self.display = display
        self.sound = sound
        self.devtools = devtools
        self.requests = requests
        self.warnings = warnings

    @classmethod
    async def open(cls, options: BrowserOptions, *, width: int, height: int, framerate: int, udp: bool) -> Self:
        """Start everything; the window shows about:blank. `framerate` is how many pictures a second are wanted, `udp`:
        WebRTC may send it. Raises EgressError."""
        programs, refresh = find_programs(options.executable), refresh_rate(framerate)
        proxy = FilteringProxy(options)
        processes = await KeptProcesses.open()
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    displayed = group.create_task(open_display(processes, programs.display, width, height, refresh))
                    sounding = group.create_task(open_sound(processes, programs.sound))
                    hindered = group.create_task(_sandbox_obstacle(processes, options))
                    group.create_task(proxy.open())
            except* EgressError as errors:
                raise errors.exceptions[0] from None
            display, sound, obstacle = displayed.result(), sounding.result(), hindered.result()
            warnings = (obstacle,) if obstacle and options.sandbox is Sandbox.AUTO else ()
            situation = Situation(
                profile=_profile(processes.folder),
                width=width,
                height=height,
                proxy_port=proxy.port,
                sandbox=not obstacle,
                udp=udp,
                small_shared_memory=shared_memory_is_small(),
            )
            devtools = await _start(processes, programs, display, sound, switches(options, situation))
            requests = RequestFilter(devtools, UrlRules(options))
            browser = cls(processes, proxy, display, sound, devtools, requests, warnings)
        except BaseException:
            await proxy.aclose()
            await processes.aclose()
            raise
        try:
            await requests.open()
        except BaseException:
            await browser.aclose()
            raise
        return browser

    @property
    def gone(self) -> asyncio.Future[int]:
        """Done when Chromium has ended by itself."""
        return self.processes.ended["chromium"]

    async def aclose(self) -> None:
        """End everything, leave nothing. Idempotent, bounded."""
        await self.requests.aclose()
        await self.devtools.aclose()
        await self.processes.aclose()
        await self.proxy.aclose()
        self.display.close()


def _profile(folder: Path) -> str:
    """A fresh profile, in which whatever would ask a person is denied."""
    profile = folder / "profile"
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(preferences()))
    (profile / "First Run").touch()
    return str(profile)


async def _sandbox_obstacle(processes: KeptProcesses, options: BrowserOptions) -> str:
    """Why Chromium's sandbox cannot be used, "" when it can. Raises BrowserFailed when it is insisted on."""
    if options.sandbox is Sandbox.OFF:
        return "Chromium runs without its sandbox, as configured"
    reason = ""
    if os.geteuid() == 0:
        reason = "it does not work for root: run pyegress as another user"
    elif (unshare := shutil.which("unshare")) is not None:
        await processes.start("user namespace", [unshare, "--user", "true"], {})
        if await processes.ended["user namespace"] != 0:
            reason = (
                "this system allows no user namespaces (unprivileged_userns_clone, AppArmor, seccomp of the container)"
            )
    if reason and options.sandbox is Sandbox.ON:
        raise BrowserFailed(f"Chromium's sandbox cannot be used: {reason}", field="browser.sandbox", retryable=False)
    return f"Chromium runs without its sandbox: {reason}" if reason else ""


async def _start(
    processes: KeptProcesses, programs: Programs, display: XDisplay, sound: SoundServer, arguments: list[str]
) -> DevTools:
    ours, theirs = socket.socketpair()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        **{name: value for name, value in _LOCALE.items() if value},
        **display.environment,
        **sound.environment,
        # No bus of a desktop, which it would talk to.
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
    }
    devtools = await DevTools.over(ours)
    try:
        try:
            # It reads commands from 3, and writes answers to 4.
            inherited = dict.fromkeys((3, 4), theirs.fileno())
            await processes.start("chromium", [programs.browser, *arguments], environment, inherited)
        finally:
            theirs.close()
        version = await devtools.call("Browser.getVersion", timeout=START_TIMEOUT)
    except BaseException as error:
        await devtools.aclose()
        if not isinstance(error, BrowserFailed):
            raise
        raise BrowserFailed(
            f"Chromium did not start: {processes.last_words('chromium') or error.message}",
            remedy=f"Run {programs.browser} by hand to see what it lacks",
        ) from error
    logger.info("%s on display :%d", version.get("product"), display.number)
    return devtools
