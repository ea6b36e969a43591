"""livekit-server as an egress meets it: its API, our keys, the clocks, a real join and a real media path."""

from __future__ import annotations

import secrets
from contextlib import suppress
from email.utils import parsedate_to_datetime

from google.protobuf.message import Message
from livekit.protocol.egress import ListEgressRequest, ListEgressResponse
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    DeleteRoomResponse,
    ListRoomsRequest,
    ListRoomsResponse,
)

from pyegress.cli.doctor.findings import Finding, bad, failed, good, skipped, warning
from pyegress.cli.exit_codes import ExitCode
from pyegress.clock import wall
from pyegress.errors import EgressError, Unauthenticated
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.server.twirp import ServerAccess, TwirpClient
from pyegress.service.config import ServiceConfig

#: Seconds for a media path to be found.
MEDIA_TIMEOUT = 10.0
#: Seconds by which clocks may differ before it shows, and before tokens are refused.
NOTABLE_SKEW, BAD_SKEW = 2.0, 60.0
_DEPENDS = "livekit-server was not reached, or refused us"


async def check_server(config: ServiceConfig, *, join: bool) -> list[Finding]:
    """What concerns livekit-server. Joining makes a room for some seconds."""
    if not config.ws_url:
        return [
            bad(
                "server", "no URL is known", "Nothing can be recorded.", "Set ws_url, or LIVEKIT_URL in the environment"
            )
        ]
    if not (config.api_key and config.api_secret):
        return [
            skipped("server", config.ws_url),
            bad(
                *("keys", "API key or secret is missing", "No room can be joined."),
                "Set api_key and api_secret, or LIVEKIT_API_KEY and LIVEKIT_API_SECRET in the environment",
            ),
        ]
    try:
        client = TwirpClient(ServerAccess(config.ws_url, config.api_key, config.api_secret))
    except EgressError as error:
        return [failed("server", error, "Nothing can be recorded.")]
    try:
        findings = await _ask(client)
        if any(finding.code for finding in findings):
            return [*findings, skipped("media path", _DEPENDS)]
        if config.redis is not None:
            findings.append(await _egress_of_server(client))
        findings += await _join(client, config) if join else [skipped("media path", "--no-join")]
        return findings
    finally:
        await client.aclose()


async def _ask(client: TwirpClient) -> list[Finding]:
    """Is it there, and does it know us? By ListRooms."""
    request = ListRoomsRequest()
    try:
        rooms = await client.call("livekit.RoomService/ListRooms", {"roomList": True}, request, ListRoomsResponse)
    except Unauthenticated as error:
        return [
            good("server", f"livekit-server answers at {client.shown}"),
            failed("keys", error, "It takes no token of ours: nothing can be joined or asked."),
            *_clock(client),
        ]
    except EgressError as error:
        return [failed("server", error, "No room can be joined."), skipped("keys", _DEPENDS)]
    return [
        good("server", f"livekit-server answers at {client.shown}; it has {len(rooms.rooms)} rooms"),
        good("keys", f"it takes the tokens of {client.access.api_key}"),
        *_clock(client),
    ]


def _clock(client: TwirpClient) -> list[Finding]:
    """The server's clock by the date of its answer, which has whole seconds."""
    try:
        theirs = parsedate_to_datetime(client.date or "").timestamp()
    except ValueError:
        return [skipped("clock", "the server's answer has no date")]
    return [skew("clock", wall() - theirs - 0.5, "livekit-server")]


def skew(check: str, seconds: float, whose: str) -> Finding:
    """Our clock against somebody's: positive when ours is ahead."""
    ahead = "ahead of" if seconds > 0 else "behind"
    if abs(seconds) < NOTABLE_SKEW:
        return good(check, f"the same as that of {whose}, within {NOTABLE_SKEW:g} s")
    found = f"ours is {abs(seconds):.0f} s {ahead} that of {whose}"
    remedy = "Run a time service (chrony, systemd-timesyncd) on both machines"
    if abs(seconds) < BAD_SKEW:
        return warning(check, found, "Times in infos and file names are off by that much.", remedy)
    return bad(check, found, "Tokens that one of us makes count as expired at the other.", remedy)


async def _egress_of_server(client: TwirpClient) -> Finding:
    """Whether the server can send us requests at all: it needs Redis for that."""
    request = ListEgressRequest(active=True)
    try:
        running = await client.call("livekit.Egress/ListEgress", {"roomRecord": True}, request, ListEgressResponse)
    except EgressError as error:
        return bad(
            "egress at the server",
            error.message,
            "livekit-server has no Redis, so it reaches no egress service.",
            "Give livekit-server a redis section with the same Redis, or use pyegress over HTTP (section api)",
            ExitCode.CONNECTION,
        )
    return good("egress at the server", f"it lists {len(running.items)} running egresses")


async def _join(client: TwirpClient, config: ServiceConfig) -> list[Finding]:
    """A real join as a hidden recorder of a room of our own, and a real media path."""
    name = f"pyegress-doctor-{secrets.token_hex(4)}"
    try:
        await _call(
            client, "CreateRoom", {"roomCreate": True}, CreateRoomRequest(name=name, empty_timeout=30), RoomInfo
        )
        options = RoomOptions(
            url=config.ws_url, room=name, api_key=config.api_key, api_secret=config.api_secret, reconnect_window=0.0
        )
        room = await Room.connect(options)
    except EgressError as error:
        return [failed("join", error, "The API answers, but rooms cannot be joined."), skipped("media path", _DEPENDS)]
    try:
        info = room.server_info
        joined = good(
            "join",
            f"joined a room as a hidden recorder: livekit-server {info.version or 'of unknown version'}, "
            f"protocol {info.protocol}",
        )
        try:
            await room.wait_media(MEDIA_TIMEOUT)
        except EgressError as error:
            meaning = "Participants are seen, but none of their media arrives."
            return [joined, failed("media path", error, meaning)]
        return [joined, _path(room)]
    finally:
        await room.aclose()
        with suppress(EgressError):
            request = DeleteRoomRequest(room=name)
            await _call(client, "DeleteRoom", {"roomCreate": True}, request, DeleteRoomResponse)


def _path(room: Room) -> Finding:
    diagnosis, rtt = room.media_diagnosis, room.media_rtt
    selected = diagnosis.selected if diagnosis is not None and diagnosis.selected else "a path"
    found = f"ICE and DTLS work over {selected}" + (f", {rtt * 1000:.1f} ms" if rtt is not None else "")
    if selected.startswith("tcp"):
        return warning(
            "media path",
            found,
            "UDP does not get through, and over TCP a lost packet holds up all that follow.",
            "Open livekit-server's UDP ports (rtc.udp_port, or rtc.port_range_start and _end) in the firewalls between",
        )
    return good("media path", found)


async def _call(
    client: TwirpClient, method: str, grants: dict[str, bool | str], request: Message, answer: type[Message]
) -> None:
    await client.call(f"livekit.RoomService/{method}", grants, request, answer)
