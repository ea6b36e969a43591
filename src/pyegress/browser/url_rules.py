"""Which URLs a page may reach, by the lists of the options. Pure."""

from __future__ import annotations

from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.host_patterns import HostPattern
from pyegress.plan.url_patterns import Url, UrlPattern

_DENIED = "it is on the list of URLs that are denied"
_NOT_ALLOWED = "it is not on the list of URLs that are allowed"


class UrlRules:
    """The most precise pattern that fits decides, and `deny_urls` where two are alike. What none fits may be reached
    unless there are `allow_urls`. Answers with the reason why something is refused, "" when it is not."""

    def __init__(self, options: BrowserOptions) -> None:
        """Raises InvalidRequest for lists that cannot be read."""
        self._allow = tuple(map(UrlPattern.parse, options.allow_urls))
        self._deny = tuple(map(UrlPattern.parse, options.deny_urls))
        self._trusted = tuple(map(HostPattern.parse, options.trusted))

    def __bool__(self) -> bool:
        return bool(self._allow or self._deny)

    def refuses(self, text: str) -> str:
        """The verdict about a URL. What is not of the network (data:, blob:) is nobody's business here."""
        if (url := Url.parse(text)) is None:
            return ""
        return self._verdict(
            [pattern for pattern in self._allow if pattern.fits(url)],
            [pattern for pattern in self._deny if pattern.fits(url)],
            (url.host, url.port),
        )

    def refuses_host(self, host: str, port: int) -> str:
        """What can be said of a connection whose URL nobody but the browser knows: whether all of them are refused."""
        return self._verdict(
            [pattern for pattern in self._allow if pattern.fits_host(host, port)],
            [pattern for pattern in self._deny if pattern.whole_host and pattern.fits_host(host, port)],
            (host, port),
        )

    def _verdict(self, allowing: list[UrlPattern], denying: list[UrlPattern], place: tuple[str, int]) -> str:
        allowed = max((pattern.precision for pattern in allowing), default=None)
        denied = max((pattern.precision for pattern in denying), default=None)
        if denied is not None and (allowed is None or allowed <= denied):
            return _DENIED
        if self._allow and allowed is None and not any(trusted.fits_name(*place) for trusted in self._trusted):
            return _NOT_ALLOWED
        return ""
