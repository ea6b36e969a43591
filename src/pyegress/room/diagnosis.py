"""What ICE tried and what came back, and the error that says where the way to the media server is blocked."""

from __future__ import annotations

from dataclasses import dataclass

from aioice import Candidate

from pyegress.errors import RoomConnectionFailed


@dataclass(frozen=True, slots=True)
class IceDiagnosis:
    """What ICE tried and what came back, for an error that says where the way is blocked."""

    local: tuple[str, ...]
    remote: tuple[str, ...]
    udp_checks: int
    udp_answers: int
    tcp_checks: int
    tcp_answers: int
    #: Checks of the server that reached us.
    checks_received: int
    #: TURN servers and TCP candidates that could not be used, with the reason.
    refused: tuple[str, ...]
    selected: str | None

    @property
    def udp_blocked(self) -> bool:
        """UDP checks went out and neither an answer nor a check of the server ever came in."""
        return self.udp_checks > 0 and self.udp_answers == 0 and self.checks_received == 0


def describe(candidate: Candidate) -> str:
    """For people: transport, address and type."""
    host = f"[{candidate.host}]" if ":" in candidate.host else candidate.host
    return f"{candidate.transport.lower()} {host}:{candidate.port} {candidate.type}"


def unconnected(diagnosis: IceDiagnosis | None, after: float) -> RoomConnectionFailed:
    """The error of a transport that is not connected after `after` seconds: says where the way is blocked."""
    if diagnosis is None:
        return RoomConnectionFailed(
            f"The server made no media offer within {after:g} s", remedy="Look into the log of livekit-server"
        )
    tried = ", ".join(diagnosis.remote) or "none"
    details = f"candidates of the server: {tried}; ours: {', '.join(diagnosis.local) or 'none'}"
    if diagnosis.refused:
        details += f"; not usable: {', '.join(diagnosis.refused)}"
    if diagnosis.selected is not None:
        return RoomConnectionFailed(
            f"A path to the media server was found ({diagnosis.selected}), but the DTLS handshake got no answer in "
            f"{after:g} s",
            remedy="A firewall may let only some packets through; try TURN over TLS",
        )
    if not diagnosis.local:
        return RoomConnectionFailed(
            f"No network address of ours can be used for media ({details})",
            remedy="Check the network of this machine, or the TURN servers if only relays are allowed",
        )
    if not diagnosis.remote:
        return RoomConnectionFailed(
            f"The server named no media address within {after:g} s ({details})",
            remedy="Check rtc.node_ip and rtc.use_external_ip in the configuration of livekit-server",
        )
    if diagnosis.udp_blocked:
        return RoomConnectionFailed(
            f"UDP to the media server is blocked: {diagnosis.udp_checks} checks sent and nothing came back in "
            f"{after:g} s ({details})",
            remedy="Open livekit-server's UDP ports (rtc.udp_port, or rtc.port_range_start and _end) and its "
            "rtc.tcp_port in every firewall between, check rtc.node_ip, or configure TURN",
        )
    return RoomConnectionFailed(
        f"No working media path was found in {after:g} s ({details})",
        remedy="Check firewalls between and rtc.node_ip in the configuration of livekit-server, or configure TURN",
    )
