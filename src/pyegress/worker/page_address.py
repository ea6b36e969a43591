"""The URL that a browser opens for a plan, and how it may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pyegress.clock import wall
from pyegress.plan.browser_options import BrowserOptions, Udp
from pyegress.plan.copy_plan import Connection
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.sources import PageSource, TemplateSource
from pyegress.room.token import RecorderIdentity, recorder_token, token_claims


@dataclass(frozen=True, slots=True)
class PageAddress:
    """What is opened. `awaits` START_RECORDING; `room` is where a template joins, "" without."""

    url: str = field(repr=False)
    shown: str
    awaits: bool
    room: str = ""

    @property
    def is_template(self) -> bool:
        return bool(self.room)


def page_address(plan: RecordingPlan) -> PageAddress:
    """Raises InvalidRequest for a token that is none."""
    match plan.source:
        case PageSource(url=url, await_start_signal=awaits):
            return PageAddress(url, plan.source.shown, awaits)
        case TemplateSource(base_url=base, layout=layout):
            connection = plan.connection
            assert connection is not None
            token, room = _token(plan, connection)
            url = with_parameters(base, {"layout": layout, "url": connection.url, "token": token})
            return PageAddress(url, plan.source.shown, awaits=True, room=room)
        case _:
            raise ValueError("a room that is composed has no page")


def with_parameters(base: str, added: dict[str, str]) -> str:
    """A URL with these parameters in its query in the place of others of the same names, all in alphabetical order."""
    parts = urlsplit(base)
    pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in added]
    query = urlencode(sorted([*pairs, *added.items()], key=lambda pair: pair[0]))
    return urlunsplit(parts._replace(path=parts.path or "/", query=query))


def may_send_udp(options: BrowserOptions, address: PageAddress) -> bool:
    """Whether WebRTC of this page may go past the proxy."""
    return options.udp is Udp.ALWAYS or (options.udp is Udp.TEMPLATES and address.is_template)


def _token(plan: RecordingPlan, connection: Connection) -> tuple[str, str]:
    """The token that the page joins with, and the room that it is for."""
    if connection.token:
        named = (token_claims(connection.token).get("video") or {}).get("room", "")
        return connection.token, connection.room or str(named)
    identity = RecorderIdentity(connection.room, plan.egress_id)
    return recorder_token(connection.api_key, connection.api_secret, identity, now=wall()), connection.room
