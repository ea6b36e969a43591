"""SDP offers of the subscriber peer connection (RFC 8866, RFC 8829): text in, frozen dataclasses out. No I/O.

The server always offers; what a recorder answers is in room/answer.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError, Fault

_DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
_MAX_TEXT = 1 << 20


class SdpError(EgressError):
    """An SDP that cannot be understood; nothing else is raised by this module."""

    code = Code.INTERNAL
    fault = Fault.SERVER


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`a=fingerprint` (RFC 8122 section 5): hash name in lower case, digest as upper-case hex without colons."""

    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True)
class RtpMap:
    """One RTP payload type: `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` of it."""

    payload_type: int
    encoding: str
    clock_rate: int
    channels: int = 0
    #: Parameters of `a=fmtp` by lower-case name; a parameter without "=" has the value "".
    fmtp: Mapping[str, str] = field(default_factory=dict)
    #: `a=fmtp` as it stands, for the echo in the answer.
    fmtp_line: str = ""
    rtcp_fb: tuple[str, ...] = ()
    #: The payload type that an RTX payload type repairs (RFC 4588 section 8.6), else None.
    apt: int | None = None

    @property
    def codec(self) -> Codec | None:
        """The codec; None for RED, RTX, FEC and what we do not know."""
        return Codec.from_encoding(self.encoding)

    @property
    def is_rtx(self) -> bool:
        return self.encoding.lower() == "rtx"

    @property
    def is_red(self) -> bool:
        return self.encoding.lower() == "red"


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One m-line of an offer with its attributes."""

    mid: str
    #: "audio", "video", "application", or what else stands there.
    kind: str
    #: As the offerer sees it: "sendonly" or "sendrecv" brings media to us.
    direction: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    payloads: Mapping[int, RtpMap] = field(default_factory=dict)
    #: Media SSRCs in the order of the offer; the SSRCs of RTX and FEC are not among them.
    ssrcs: tuple[int, ...] = ()
    #: `a=ssrc-group:FID`: media SSRC to RTX SSRC (RFC 5576 section 4.2, RFC 4588).
    fid_groups: Mapping[int, int] = field(default_factory=dict)
    #: `a=msid`: (stream id, track id).
    msid: tuple[str, str] | None = None
    extmap: Mapping[int, str] = field(default_factory=dict)
    sctp_port: int | None = None
    max_message_size: int | None = None
    bundle_only: bool = False
    rtcp_mux: bool = False
    rtcp_rsize: bool = False

    @property
    def rejected(self) -> bool:
        """Port 0 means that the m-line is out of use, unless it only waits for the bundle (RFC 9143 section 6)."""
        return self.port == 0 and not self.bundle_only

    @property
    def sends(self) -> bool:
        """Whether the offerer means to send media on this m-line."""
        return not self.rejected and self.direction in ("sendonly", "sendrecv")


@dataclass(frozen=True, slots=True)
class SessionOffer:
    """An offer: what the whole bundle shares, and the m-lines."""

    ice_ufrag: str
    ice_pwd: str = field(repr=False)
    fingerprints: tuple[Fingerprint, ...]
    #: `a=setup` of the offerer (RFC 4145): actpass, active or passive.
    setup: str
    ice_lite: bool
    #: Values of `a=candidate` without the leading "candidate:", in order, without repeats.
    candidates: tuple[str, ...]
    end_of_candidates: bool
    media: tuple[MediaSection, ...]
    #: mids of `a=group:BUNDLE`.
    bundle: tuple[str, ...]
    session_id: int
    session_version: int


def parse_offer(text: str) -> SessionOffer:
    """Parse an SDP offer. Unknown lines and attributes are passed over. Raises SdpError."""
    if len(text) > _MAX_TEXT:
        raise SdpError(f"The SDP offer has {len(text)} characters")
    head: list[str] = []
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("m="):
            blocks.append([])
        (blocks[-1] if blocks else head).append(line)
    if not head or not head[0].startswith("v=0"):
        raise SdpError("The SDP offer does not begin with v=0")

    session = _Transport()
    media: list[MediaSection] = []
    session_id, session_version = 0, 0
    for line in head:
        if line.startswith("o="):
            words = line[2:].split()
            if len(words) < 3:
                raise SdpError("The o= line of the SDP offer is incomplete")
            session_id, session_version = _uint(words[1], "o=", 1 << 64), _uint(words[2], "o=", 1 << 64)
    session.read(head)
    transports: list[_Transport] = []
    for index, block in enumerate(blocks):
        section = _parse_media(block, index)
        media.append(section)
        transport = _Transport()
        transport.read(block)
        session.candidates.update(transport.candidates)
        session.end_of_candidates = session.end_of_candidates or transport.end_of_candidates
        # A rejected m-line may carry remains of an older transport.
        if not section.rejected:
            transports.append(transport)
    mids = [section.mid for section in media]
    if len(set(mids)) != len(mids):
        raise SdpError("Two m-lines of the SDP offer have the same mid")
    for transport in transports:
        session.inherit(transport)
    if not session.ufrag or not session.pwd:
        raise SdpError("The SDP offer has no ICE credentials")
    if not session.fingerprints:
        raise SdpError("The SDP offer has no certificate fingerprint")
    return SessionOffer(
        ice_ufrag=session.ufrag,
        ice_pwd=session.pwd,
        fingerprints=tuple(session.fingerprints),
        setup=session.setup or "actpass",
        ice_lite=session.ice_lite,
        candidates=tuple(session.candidates),
        end_of_candidates=session.end_of_candidates,
        media=tuple(media),
        bundle=session.bundle,
        session_id=session_id,
        session_version=session_version,
    )


class _Transport:
    """The attributes that a bundle shares, gathered from the session part and from the m-lines."""

    def __init__(self) -> None:
        self.ufrag = ""
        self.pwd = ""
        self.setup = ""
        self.ice_lite = False
        self.fingerprints: dict[Fingerprint, None] = {}
        self.candidates: dict[str, None] = {}
        self.end_of_candidates = False
        self.bundle: tuple[str, ...] = ()

    def read(self, lines: Sequence[str]) -> None:
        for name, value in _attributes(lines):
            match name:
                case "ice-ufrag":
                    self.ufrag = value
                case "ice-pwd":
                    self.pwd = value
                case "setup":
                    self.setup = value
                case "ice-lite":
                    self.ice_lite = True
                case "fingerprint":
                    algorithm, _, digest = value.partition(" ")
                    self.fingerprints[Fingerprint(algorithm.lower(), digest.replace(":", "").strip().upper())] = None
                case "candidate":
                    self.candidates[value] = None
                case "end-of-candidates":
                    self.end_of_candidates = True
                case "group" if value.startswith("BUNDLE"):
                    self.bundle = tuple(value.split()[1:])

    def inherit(self, section: _Transport) -> None:
        """Take from an m-line what is not known yet: in a bundle the first m-line describes the transport."""
        self.ufrag = self.ufrag or section.ufrag
        self.pwd = self.pwd or section.pwd
        self.setup = self.setup or section.setup
        if not self.fingerprints:
            self.fingerprints.update(section.fingerprints)


def _parse_media(lines: Sequence[str], index: int) -> MediaSection:
    words = lines[0][2:].split()
    if len(words) < 4:
        raise SdpError(f"m-line {index} of the SDP offer is incomplete")
    kind, protocol, formats = words[0].lower(), words[2], tuple(words[3:])
    section = MediaSection(
        mid=str(index),
        kind=kind,
        direction="sendrecv",
        port=_uint(words[1].partition("/")[0], "m=", 1 << 16),
        protocol=protocol,
        formats=formats,
    )
    payloads = _parse_payloads(lines, formats) if kind in ("audio", "video") else {}
    ssrcs: dict[int, None] = {}
    repair: set[int] = set()
    fid: dict[int, int] = {}
    extmap: dict[int, str] = {}
    values: dict[str, object] = {}
    for name, value in _attributes(lines):
        match name:
            case "mid":
                values["mid"] = value
            case name if name in _DIRECTIONS:
                values["direction"] = name
            case "ssrc":
                ssrcs[_uint(value.partition(" ")[0], "a=ssrc", 1 << 32)] = None
            case "ssrc-group":
                semantics, *members = value.split() or [""]
                numbers = [_uint(member, "a=ssrc-group", 1 << 32) for member in members]
                if semantics == "FID" and len(numbers) == 2:
                    fid[numbers[0]] = numbers[1]
                if semantics in ("FID", "FEC-FR"):
                    repair.update(numbers[1:])
            case "msid":
                stream, _, track = value.partition(" ")
                values["msid"] = (stream, track.strip())
            case "extmap":
                number, _, uri = value.partition(" ")
                extmap[_uint(number.partition("/")[0], "a=extmap", 1 << 16)] = uri.split(" ")[0]
            case "sctp-port":
                values["sctp_port"] = _uint(value, "a=sctp-port", 1 << 16)
            case "max-message-size":
                values["max_message_size"] = _uint(value, "a=max-message-size", 1 << 64)
            case "bundle-only" | "rtcp-mux" | "rtcp-rsize":
                values[name.replace("-", "_")] = True
    return replace(
        section,
        payloads=payloads,
        ssrcs=tuple(ssrc for ssrc in ssrcs if ssrc not in repair),
        fid_groups=fid,
        extmap=extmap,
        **values,  # type: ignore[arg-type]
    )


def _parse_payloads(lines: Sequence[str], formats: Sequence[str]) -> dict[int, RtpMap]:
    maps: dict[int, tuple[str, int, int]] = {0: ("PCMU", 8000, 0), 8: ("PCMA", 8000, 0)}  # RFC 3551 table 4
    fmtps: dict[int, str] = {}
    feedback: dict[str, dict[str, None]] = {}
    for name, value in _attributes(lines):
        head, _, rest = value.partition(" ")
        if name == "rtpmap":
            encoding, *numbers = rest.strip().split("/")
            if not encoding or not numbers:
                raise SdpError("An a=rtpmap of the SDP offer is incomplete")
            rate = _uint(numbers[0], "a=rtpmap", 1 << 32)
            channels = _uint(numbers[1], "a=rtpmap", 256) if len(numbers) > 1 else 0
            maps[_uint(head, "a=rtpmap", 128)] = (encoding, rate, channels)
        elif name == "fmtp":
            fmtps[_uint(head, "a=fmtp", 128)] = rest.strip()
        elif name == "rtcp-fb":
            feedback.setdefault(head, {})[" ".join(rest.split())] = None
    payloads: dict[int, RtpMap] = {}
    for text in formats:
        number = _uint(text, "m=", 128)
        if number not in maps:
            continue
        encoding, rate, channels = maps[number]
        line = fmtps.get(number, "")
        parameters = dict(_parameters(line))
        apt = parameters.get("apt") if encoding.lower() == "rtx" else None
        payloads[number] = RtpMap(
            payload_type=number,
            encoding=encoding,
            clock_rate=rate,
            channels=channels,
            fmtp=parameters,
            fmtp_line=line,
            rtcp_fb=(*feedback.get("*", ()), *feedback.get(text, ())),
            apt=None if apt is None else _uint(apt, "apt", 128),
        )
    return payloads


def _parameters(line: str) -> Iterator[tuple[str, str]]:
    for item in line.split(";"):
        name, _, value = item.strip().partition("=")
        if name:
            yield name.strip().lower(), value.strip()


def _attributes(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            yield name.strip(), value.strip()


def _uint(text: str, where: str, limit: int) -> int:
    """A decimal number of SDP below `limit`; `int()` alone would take signs, underscores and foreign digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) >= limit:
        raise SdpError(f"The SDP offer has a bad number in {where}")
    return int(text)
