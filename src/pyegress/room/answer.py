"""The SDP answers of a receive-only recorder (RFC 8829 section 5.3, RFC 9143)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pyegress.codecs import Codec
from pyegress.room.sdp import MediaSection, RtpMap, SessionOffer

ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

#: Header extensions that we ask for. LiveKit identifies streams by `a=ssrc`, so MID and RID would say nothing new.
ACCEPTED_EXTENSIONS = frozenset({ABS_CAPTURE_TIME})

#: Feedback that we send. FIR does nothing at LiveKit, and some stacks prefer it to PLI once it is negotiated.
ACCEPTED_FEEDBACK = ("nack", "nack pli")

_KINDS = frozenset({"audio", "video", "application"})

#: Decides whether we want to receive a payload type of an m-line. RTX follows the payload type that it repairs.
AcceptPolicy = Callable[[MediaSection, RtpMap], bool]


def recordable(section: MediaSection, payload: RtpMap) -> bool:
    """The default policy: every codec that can be recorded, and RED.

    H.264 only with packetization-mode=1 (RFC 6184 section 6.2): LiveKit's publishers use it, and mode 0 would be a
    second payload type for the same stream.
    """
    if payload.is_red:
        return section.kind == "audio"
    codec = payload.codec
    if codec is None or codec.kind.value != section.kind:
        return False
    return codec is not Codec.H264 or payload.fmtp.get("packetization-mode") == "1"


def build_answer(
    offer: SessionOffer,
    *,
    ufrag: str,
    pwd: str,
    fingerprint: str,
    accept: AcceptPolicy = recordable,
    candidates: Sequence[str] = (),
) -> str:
    """The answer of a receive-only recorder.

    `fingerprint` is our certificate's SHA-256 digest in colon form. On each m-line every payload type that `accept`
    takes is answered, with the offer's numbers: a narrower answer would narrow the server's later offers too. The
    version in the o= line follows the offer's, so that the function needs no memory.
    """
    taken = [_accepted(section, accept) for section in offer.media]
    bundled = [s.mid for s, payloads in zip(offer.media, taken, strict=True) if payloads is not None]
    lines = [
        "v=0",
        f"o=- {offer.session_id or 1} {offer.session_version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
    ]
    if offer.bundle:
        lines.append(" ".join(["a=group:BUNDLE", *(mid for mid in bundled if mid in offer.bundle)]))
    lines += ["a=extmap-allow-mixed", "a=msid-semantic:WMS *"]
    # The offerer has set "active" only if it insists on being the DTLS client (RFC 8842 section 5.3).
    setup = "passive" if offer.setup == "active" else "active"
    pending = list(candidates)
    for section, payloads in zip(offer.media, taken, strict=True):
        if payloads is None:
            lines += [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
            lines += [f"a=mid:{section.mid}", "a=inactive"]
            continue
        formats = section.formats if section.kind == "application" else tuple(str(p.payload_type) for p in payloads)
        lines += [f"m={section.kind} 9 {section.protocol} {' '.join(formats)}", "c=IN IP4 0.0.0.0"]
        lines += [f"a=mid:{section.mid}", f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}", "a=ice-options:trickle"]
        lines += [f"a=fingerprint:sha-256 {fingerprint}", f"a=setup:{setup}"]
        lines += [f"a=candidate:{line.removeprefix('candidate:')}" for line in pending]
        pending = []
        if section.kind == "application":
            lines += _application_lines(section)
        else:
            lines += _rtp_lines(section, payloads)
    return "\r\n".join(lines) + "\r\n"


def _accepted(section: MediaSection, accept: AcceptPolicy) -> list[RtpMap] | None:
    """Payload types to answer in the order of the offer; None if the m-line is rejected."""
    if section.rejected or section.kind not in _KINDS:
        return None
    if section.kind == "application":
        return []
    wanted = {pt for pt, payload in section.payloads.items() if not payload.is_rtx and accept(section, payload)}
    if all(section.payloads[pt].is_red for pt in wanted):
        return None
    return [p for pt, p in section.payloads.items() if pt in wanted or (p.is_rtx and p.apt in wanted)]


def _application_lines(section: MediaSection) -> Iterator[str]:
    yield f"a={section.direction}"
    if section.sctp_port is not None:
        yield f"a=sctp-port:{section.sctp_port}"
    if section.max_message_size is not None:
        yield f"a=max-message-size:{section.max_message_size}"


def _rtp_lines(section: MediaSection, payloads: Sequence[RtpMap]) -> Iterator[str]:
    yield "a=recvonly" if section.sends else "a=inactive"
    yield "a=rtcp-mux"
    if section.rtcp_rsize:
        yield "a=rtcp-rsize"
    for number, uri in section.extmap.items():
        if uri in ACCEPTED_EXTENSIONS:
            yield f"a=extmap:{number} {uri}"
    for payload in payloads:
        channels = f"/{payload.channels}" if payload.channels else ""
        yield f"a=rtpmap:{payload.payload_type} {payload.encoding}/{payload.clock_rate}{channels}"
        if payload.fmtp_line:
            yield f"a=fmtp:{payload.payload_type} {payload.fmtp_line}"
        for feedback in payload.rtcp_fb:
            if feedback in ACCEPTED_FEEDBACK:
                yield f"a=rtcp-fb:{payload.payload_type} {feedback}"
