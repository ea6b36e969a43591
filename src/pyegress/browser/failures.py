"""What can go wrong with a browser and with the page in it."""

from __future__ import annotations

from pyegress.errors import Code, EgressError, Fault


class BrowserFailed(EgressError):
    """Chromium, its display or its sound cannot be started, or ended by itself."""

    code = Code.INTERNAL
    fault = Fault.SERVER
    retryable = True


class BrowserMissing(EgressError):
    """A program that pages need is not installed."""

    code = Code.FAILED_PRECONDITION
    fault = Fault.SERVER


class PageFailed(EgressError):
    """The page cannot be loaded, or says itself that it cannot go on."""

    code = Code.INVALID_ARGUMENT
    fault = Fault.CALLER
