from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyegress.browser.switches import Situation, preferences, switches
from pyegress.plan.browser_options import BrowserOptions

pytestmark = pytest.mark.unit

PLACE = Situation(
    profile="/p", width=1280, height=720, proxy_port=4711, sandbox=True, udp=False, small_shared_memory=False
)


def given(options: BrowserOptions | None = None, **changes: Any) -> list[str]:
    return switches(options or BrowserOptions(), replace(PLACE, **changes))


def test_everything_goes_through_the_proxy_and_no_port_is_open() -> None:
    arguments = given()
    assert "--proxy-server=socks5://127.0.0.1:4711" in arguments
    assert "--proxy-bypass-list=<-loopback>" in arguments
    assert "--remote-debugging-pipe" in arguments
    assert not any("remote-debugging-port" in argument for argument in arguments)
    assert "--webrtc-ip-handling-policy=disable_non_proxied_udp" in arguments
    assert "--webrtc-ip-handling-policy=default" in given(udp=True)
    assert arguments[-1] == "about:blank"


def test_the_sandbox_is_on_where_it_can_be() -> None:
    assert "--no-sandbox" not in given()
    assert "--no-sandbox" in given(sandbox=False)


def test_options() -> None:
    assert "--disable-gpu" in given()
    assert "--disable-gpu" not in given(BrowserOptions(webgl=True))
    assert "--ignore-certificate-errors" in given(BrowserOptions(insecure=True))
    flags = BrowserOptions(flags=(("lang", "de"), ("--mute-audio", "")))
    assert given(flags)[-3:] == ["--lang=de", "--mute-audio", "about:blank"]
    assert "--disable-dev-shm-usage" in given(small_shared_memory=True)


def test_a_profile_asks_nobody() -> None:
    assert set(preferences()["profile"]["default_content_setting_values"].values()) == {2}
