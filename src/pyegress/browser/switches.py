"""What Chromium is told on its command line, and the settings of its fresh profile. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyegress.plan.browser_options import BrowserOptions

#: Features that show something of their own, talk to somebody, or hold a page back that seems to be hidden.
_NO_FEATURES = (
    *("Translate", "MediaRouter", "OptimizationHints", "GlobalMediaControls", "HardwareMediaKeyHandling"),
    *("DialMediaRouteProvider", "AutofillServerCommunication", "CertificateTransparencyComponentUpdater"),
    *("InterestFeedContentSuggestions", "PaintHolding", "PrivacySandboxSettings4", "SidePanelPinning"),
    *("IntensiveWakeUpThrottling", "LensOverlay", "ProcessPerSiteUpToMainFrameThreshold"),
    "NetworkTimeServiceQuerying",
    # A page of the network that reaches into ours meets the proxy, and needs no prompt.
    *("LocalNetworkAccessChecks", "BlockInsecurePrivateNetworkRequests"),
)
_ALWAYS = (
    "remote-debugging-pipe",
    "kiosk",
    "window-position=0,0",
    "ozone-platform=x11",
    "force-device-scale-factor=1",
    "force-color-profile=srgb",
    "hide-scrollbars",
    "autoplay-policy=no-user-gesture-required",
    # Nothing over or beside the page.
    "test-type",
    "no-first-run",
    "no-default-browser-check",
    "disable-search-engine-choice-screen",
    "disable-infobars",
    "noerrdialogs",
    "deny-permission-prompts",
    "disable-notifications",
    "disable-session-crashed-bubble",
    "disable-prompt-on-repost",
    "disable-hang-monitor",
    "disable-external-intent-requests",
    "propagate-iph-for-testing",
    "disable-blink-features=AutomationControlled",
    # It is always in front.
    "disable-background-timer-throttling",
    "disable-backgrounding-occluded-windows",
    "disable-renderer-backgrounding",
    "disable-ipc-flooding-protection",
    # As little as can be is told to anybody.
    "disable-background-networking",
    "disable-breakpad",
    "disable-crash-reporter",
    "disable-client-side-phishing-detection",
    "disable-component-update",
    "disable-default-apps",
    "disable-domain-reliability",
    "disable-extensions",
    "disable-sync",
    "metrics-recording-only",
    "no-pings",
    "password-store=basic",
    "disable-quic",
)
_SOFTWARE_GL = ("use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader")


@dataclass(frozen=True, slots=True)
class Situation:
    """What the machine and the recording add."""

    profile: str
    width: int
    height: int
    proxy_port: int
    sandbox: bool
    udp: bool
    small_shared_memory: bool


def switches(options: BrowserOptions, situation: Situation) -> list[str]:
    """The arguments behind the program's name; the options' own flags are last, and so win."""
    given = [
        *_ALWAYS,
        f"disable-features={','.join(_NO_FEATURES)}",
        f"window-size={situation.width},{situation.height}",
        f"user-data-dir={situation.profile}",
        f"proxy-server=socks5://127.0.0.1:{situation.proxy_port}",
        # Chromium would go to loopback past the proxy.
        "proxy-bypass-list=<-loopback>",
        # What cannot go through the proxy does not go at all, or is WebRTC of a page that may.
        f"webrtc-ip-handling-policy={'default' if situation.udp else 'disable_non_proxied_udp'}",
        f"force-webrtc-ip-handling-policy={'default' if situation.udp else 'disable_non_proxied_udp'}",
    ]
    given += _SOFTWARE_GL if options.webgl else ("disable-gpu", "disable-3d-apis")
    if not situation.sandbox:
        given += ["no-sandbox", "disable-setuid-sandbox"]
    if situation.small_shared_memory:
        given.append("disable-dev-shm-usage")
    if options.insecure:
        given += ["disable-web-security", "allow-running-insecure-content", "ignore-certificate-errors"]
    given += [f"{name.lstrip('-')}={value}" if value else name.lstrip("-") for name, value in options.flags]
    return [*(f"--{switch}" for switch in given), "about:blank"]


def preferences() -> dict[str, Any]:
    """The profile's `Preferences`: whatever would ask a person is denied."""
    denied = (
        *("notifications", "geolocation", "media_stream_mic", "media_stream_camera", "midi_sysex", "popups"),
        *("automatic_downloads", "clipboard", "window_placement", "local_fonts", "sensors", "serial_guard"),
        *(
            "usb_guard",
            "bluetooth_guard",
            "hid_guard",
            "file_system_write_guard",
            "idle_detection",
            "protocol_handlers",
        ),
    )
    return {
        "profile": {
            "default_content_setting_values": dict.fromkeys(denied, 2),
            "password_manager_enabled": False,
            "exit_type": "Normal",
        },
        "credentials_enable_service": False,
        "translate": {"enabled": False},
        "autofill": {"enabled": False, "profile_enabled": False, "credit_card_enabled": False},
        "download": {"prompt_for_download": False},
        "download_restrictions": 3,
        # A page that prints would be behind the preview, and stand still.
        "printing": {"enabled": False},
        "safebrowsing": {"enabled": False},
        "search": {"suggest_enabled": False},
        "alternate_error_pages": {"enabled": False},
        "dns_prefetching": {"enabled": False},
        # Programs outside of the browser: nothing is opened, nobody is asked.
        "protocol_handler": {"excluded_schemes": dict.fromkeys(_OUTSIDE_SCHEMES, True)},
    }


_OUTSIDE_SCHEMES = (
    *("mailto", "tel", "sms", "callto", "facetime", "skype", "zoommtg", "zoomus", "msteams", "slack", "steam"),
    *("vscode", "ssh", "telnet", "ftp", "irc", "magnet", "webcal", "market", "intent", "spotify", "ms-settings"),
)
