"""Which frames of a page crashed, by what Chromium tells of targets."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pyegress.browser.site_frames import SiteFrames

pytestmark = pytest.mark.unit


def target(number: str, url: str = "", kind: str = "iframe") -> dict[str, Any]:
    return {"targetInfo": {"targetId": number, "type": kind, "url": url}}


def crash(number: str) -> dict[str, Any]:
    return {"targetId": number, "status": "killed", "errorCode": 9}


@pytest.fixture
def frames() -> SiteFrames:
    """A page with two frames of another site in one process, and one without a URL; as Chromium tells of them."""
    frames = SiteFrames()
    for number in ("a", "b", "c"):
        frames.hear("Target.targetCreated", target(number))
    frames.hear("Target.targetInfoChanged", target("a", "https://user:pass@shop.example:8443/pay?token=secret#key"))
    frames.hear("Target.targetInfoChanged", target("b", "https://shop.example/other"))
    frames.hear("Target.targetInfoChanged", target("c", "about:srcdoc"))
    return frames


def test_a_frame_that_crashes_is_named_by_its_host_alone(frames: SiteFrames, caplog: pytest.LogCaptureFixture) -> None:
    assert frames.crashed == ""
    with caplog.at_level(logging.INFO):
        frames.hear("Target.targetCrashed", crash("a"))
    assert frames.crashed == "a frame of shop.example"
    assert [record.getMessage() for record in caplog.records] == ["a frame of shop.example crashed (killed)"]


def test_it_is_crashed_until_the_page_is_another(frames: SiteFrames) -> None:
    """All frames of a process crash with it, and count as one."""
    for number in ("a", "b"):
        frames.hear("Target.targetCrashed", crash(number))
    frames.hear("Target.targetDestroyed", {"targetId": "a"})
    assert frames.crashed == "a frame of shop.example"
    frames.hear("Target.targetDestroyed", {"targetId": "b"})
    assert frames.crashed == ""
    frames.hear("Target.targetCrashed", crash("b"))
    assert frames.crashed == "", "it is no frame of this page any more"


def test_a_frame_without_a_host(frames: SiteFrames) -> None:
    frames.hear("Target.targetCrashed", crash("c"))
    assert frames.crashed == "a frame"


@pytest.mark.parametrize("kind", ["page", "worker", "shared_worker", "service_worker", "browser_ui", "other"])
def test_other_targets_do_not_count(kind: str) -> None:
    frames = SiteFrames()
    frames.hear("Target.targetCreated", target("x", "https://shop.example/", kind))
    frames.hear("Target.targetCrashed", crash("x"))
    frames.hear("Target.targetCrashed", crash("never heard of"))
    frames.hear("Target.attachedToTarget", {"sessionId": "s"} | target("x"))
    assert frames.crashed == ""
