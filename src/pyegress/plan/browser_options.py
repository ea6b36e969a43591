"""How pages are opened: what the configuration of the service, or of a program, says of the browser. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Udp(Enum):
    """Whose pages may send WebRTC over UDP, which no proxy can filter; all others use TCP through the proxy."""

    #: Templates, which have to reach the LiveKit server.
    TEMPLATES = "templates"
    ALWAYS = "always"
    NEVER = "never"


class Sandbox(Enum):
    """Chromium's sandbox: where the system allows it, or insisted on, or off."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """Times are seconds, memory is bytes.

    `executable` "" is any Chromium or Chrome that is found. `flags` are switches of Chromium with their values ("" for
    none) that come last. Hosts are `example.com`, `*.example.com`, an address or a network (`10.0.0.0/8`), each may end
    in `:port`; `allow_hosts` leaves everything else out, `deny_hosts` goes before it. URLs are such a host with
    `https://` before it or without, and the beginning of a path behind it or without (`https://example.com/public/`);
    `allow_urls` leaves everything else out, and between it and `deny_urls` the more precise pattern decides. `own` are
    addresses of ours that no page may reach, `host:port`, or `:port` on this machine.
    """

    executable: str = ""
    sandbox: Sandbox = Sandbox.AUTO
    webgl: bool = False
    #: Certificates are not checked, and pages may load anything from anywhere.
    insecure: bool = False
    flags: tuple[tuple[str, str], ...] = ()
    #: For one try to load a page, and how often it is tried.
    load_timeout: float = 30.0
    load_tries: int = 3
    #: How long a page may not answer before it counts as hung.
    hang_timeout: float = 4.0
    #: How often a page that crashed or hung is loaded again.
    reloads: int = 3
    #: How much memory all processes of a browser may take; 0 is without limit.
    memory: int = 4_000_000_000
    udp: Udp = Udp.TEMPLATES
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_urls: tuple[str, ...] = ()
    deny_urls: tuple[str, ...] = ()
    block_private_networks: bool = False
    own: tuple[str, ...] = ()
    #: `host:port` that may be reached although it is private: the LiveKit server and the templates.
    trusted: tuple[str, ...] = ()


DEFAULT_BROWSER = BrowserOptions()
