"""Why a page could not be loaded, in words: from Chromium's net errors, HTTP statuses and the proxy's reasons. Pure."""

from __future__ import annotations

from http import HTTPStatus

from pyegress.browser.failures import PageFailed
from pyegress.errors import Code, EgressError, Fault

#: By the beginning of Chromium's error: what it means, what to do.
_NET: tuple[tuple[str, str, str], ...] = (
    ("ERR_NAME_NOT_RESOLVED", "the name of its host cannot be resolved", "Check the URL, and the DNS of this machine"),
    ("ERR_CONNECTION_REFUSED", "its host refuses connections", "Check that the server runs, and the port"),
    ("ERR_CERT_AUTHORITY_INVALID", "nobody who is trusted has signed its TLS certificate", "TLS"),
    ("ERR_CERT_DATE_INVALID", "its TLS certificate is not valid today", "TLS"),
    ("ERR_CERT_COMMON_NAME_INVALID", "its TLS certificate is for another name", "TLS"),
    ("ERR_CERT_", "its TLS certificate is not valid", "TLS"),
    ("ERR_SSL_", "TLS with its host fails", "Check that the port speaks TLS, or use http://"),
    ("ERR_TOO_MANY_REDIRECTS", "it redirects in a circle", "Open it in a browser, without cookies, to see where"),
    ("ERR_EMPTY_RESPONSE", "its host closes the connection without an answer", "Check the URL and the server"),
    ("ERR_CONNECTION_RESET", "its host ends the connection", "Check the URL and the server"),
    ("ERR_CONNECTION_CLOSED", "its host ends the connection", "Check the URL and the server"),
    ("ERR_INVALID_", "its host does not answer as a web server does", "Check the scheme and the port"),
    ("ERR_ABORTED", "it is no page but a download, or has no content", "Give the URL of a page"),
    ("ERR_UNSAFE_PORT", "browsers refuse this port", "Serve it on another port"),
    ("ERR_BLOCKED_BY_", "it may not be shown", "Check what the page forbids"),
)
_TLS = "Correct the certificate, or set browser.insecure where that does no harm"


def load_error(shown: str, text: str, reason: str, console: str = "") -> PageFailed:
    """`shown` is the URL without secrets, `text` Chromium's error, `reason` what lists and the proxy know."""
    code = text.removeprefix("net::")
    if reason and code.startswith("ERR_BLOCKED_BY_CLIENT"):
        return _failed(shown, reason, "Choose another page, or change browser.allow_urls or deny_urls", console)
    if reason and "SOCKS" in code:
        remedy = "Check the URL"
        if "resolved" in reason:
            remedy = "Check the URL, and the DNS of this machine"
        elif "reached" in reason or "list" in reason or "pyegress" in reason:
            remedy = "Choose another page, or change browser.allow_hosts, deny_hosts, allow_urls, deny_urls or "
            remedy += "block_private_networks"
        elif "refuses" in reason:
            remedy = "Check that the server runs, and the port"
        return _failed(shown, f"its host cannot be reached: {reason}", remedy, console)
    for beginning, what, remedy in _NET:
        if code.startswith(beginning):
            return _failed(shown, f"{what} ({code})", _TLS if remedy == "TLS" else remedy, console)
    return _failed(shown, code, "Open it in a browser on this machine", console)


def timeout_error(shown: str, seconds: float, tries: int, console: str = "") -> PageFailed:
    """It did not load in time."""
    times = f", {tries} times" if tries > 1 else ""
    return _failed(
        shown, f"timed out after {seconds:g} s{times}", "Make the page faster, or raise browser.load_timeout", console
    )


def status_error(shown: str, status: int) -> PageFailed:
    """An HTTP error."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    remedy = "Check the URL" if status < 500 else "Look into the log of its server"
    if status in (401, 403):
        remedy = "Give a URL that may be opened without signing in"
    return _failed(shown, f"HTTP {status} {phrase}".rstrip(), remedy, "")


def template_error(text: str, console: str = "") -> PageFailed:
    """The page shows an error of its own: the text of its `div.error`."""
    return PageFailed(
        f"template error: {text}{console}", remedy="The page says what is wrong in its element div.error", field="url"
    )


def no_signal_error(seconds: float, console: str) -> EgressError:
    """START_RECORDING did not come."""
    return EgressError(
        "Start signal not received: the page did not write START_RECORDING to its console "
        f"within {seconds:g} s{console}",
        remedy="Have the page call console.log('START_RECORDING'), or raise --wait",
        code=Code.DEADLINE_EXCEEDED,
        fault=Fault.CALLER,
    )


def _failed(shown: str, why: str, remedy: str, console: str) -> PageFailed:
    return PageFailed(f"page load error: {shown} cannot be loaded: {why}{console}", remedy=remedy, field="url")
