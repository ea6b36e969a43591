"""The section of the configuration that says how pages are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pyegress.errors import InvalidRequest
from pyegress.plan.browser_options import BrowserOptions, Sandbox, Udp
from pyegress.plan.host_patterns import HostPattern
from pyegress.plan.url_patterns import UrlPattern
from pyegress.service.config_reader import About, Seconds, bad_config
from pyegress.service.config_sections import RedisSection

_LOAD, _HANG = Seconds(30), Seconds(4)
_GIGABYTE = 1e9
_LISTS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(("allow_hosts", "deny_hosts"), HostPattern.parse),
    **dict.fromkeys(("allow_urls", "deny_urls"), UrlPattern.parse),
}


@dataclass(frozen=True, slots=True)
class BrowserSection:
    """Web egress, custom templates, and the default layouts where template_engine is chrome."""

    executable: Annotated[str, About('Chromium or Chrome; "" is any that is found.')] = ""
    sandbox: Annotated[str, About("auto: where the system allows it; on: or refuse; off.")] = "auto"
    webgl: Annotated[bool, About("WebGL, drawn by the CPU.")] = False
    load_timeout: Annotated[Seconds, About("For one try to load a page.")] = _LOAD
    load_tries: Annotated[int, About("How often it is tried.")] = 3
    hang_timeout: Annotated[Seconds, About("A page that does not answer for so long is loaded again.")] = _HANG
    reloads: Annotated[int, About("How often a page that crashed or hung is loaded again.")] = 3
    max_memory: Annotated[float, About("GB that a browser may take before its page is loaded again; 0 is any.")] = 4.0
    udp: Annotated[str, About("Whose WebRTC may use UDP, past the filter: templates, always or never.")] = "templates"
    allow_hosts: Annotated[
        tuple[str, ...], About("Only these may be reached; example.com, *.example.com, 10.0.0.0/8.")
    ] = ()
    deny_hosts: Annotated[tuple[str, ...], About("These may not be reached.")] = ()
    allow_urls: Annotated[
        tuple[str, ...], About("Only these may be reached; example.com, https://*.example.com:8443/public/, *.")
    ] = ()
    deny_urls: Annotated[
        tuple[str, ...], About("These may not be reached; of two that fit the more precise one decides.")
    ] = ()
    block_private_networks: Annotated[bool, About("No page reaches private and loopback addresses.")] = False

    def options(
        self, *, flags: Mapping[str, Any], insecure: bool, redis: RedisSection | None, trusted: tuple[str, ...]
    ) -> BrowserOptions:
        """The options; `flags` are chrome_flags."""
        own: tuple[str, ...] = ()
        if redis is not None:
            own = tuple(filter(None, (redis.address, *redis.sentinel_addresses, *redis.cluster_addresses)))
        return BrowserOptions(
            executable=self.executable,
            sandbox=Sandbox(self.sandbox),
            webgl=self.webgl,
            insecure=insecure,
            flags=tuple((str(name), _value(value)) for name, value in flags.items() if value is not False),
            load_timeout=self.load_timeout,
            load_tries=self.load_tries,
            hang_timeout=self.hang_timeout,
            reloads=self.reloads,
            memory=round(self.max_memory * _GIGABYTE),
            udp=Udp(self.udp),
            allow_hosts=self.allow_hosts,
            deny_hosts=self.deny_hosts,
            allow_urls=self.allow_urls,
            deny_urls=self.deny_urls,
            block_private_networks=self.block_private_networks,
            own=own,
            trusted=trusted,
        )

    def contradictions(self) -> Iterator[InvalidRequest]:
        """What each key alone does not show."""
        for key, kind in (("sandbox", Sandbox), ("udp", Udp)):
            words = [choice.value for choice in kind]
            if getattr(self, key) not in words:
                yield bad_config(f"browser.{key}", "is no choice", f"Use one of {', '.join(words)}")
        for key in ("load_timeout", "load_tries", "hang_timeout"):
            if not getattr(self, key) > 0:
                yield bad_config(f"browser.{key}", "must be above 0", "Leave it out for the usual value")
        for key in ("reloads", "max_memory"):
            if getattr(self, key) < 0:
                yield bad_config(f"browser.{key}", "must not be negative", "Use 0 or more")
        for key, parse in _LISTS.items():
            for entry in getattr(self, key):
                try:
                    parse(entry)
                except InvalidRequest as error:
                    yield bad_config(f"browser.{key}", f"has what cannot be read: {error.message}", error.remedy)


def _value(value: Any) -> str:
    return "" if value is True or value is None else str(value)
