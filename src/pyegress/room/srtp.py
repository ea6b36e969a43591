"""SRTP and SRTCP of one transport (RFC 3711, RFC 7714), keyed by DTLS (RFC 5764), on libsrtp.

Received packets are decrypted in place in a buffer that the sockets read into, so a packet is copied once. pylibsrtp
copies twice and allocates per call; therefore its binding is called directly, which its pinned version makes safe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]  # a compiled module

#: Packets that may arrive late per SSRC: 4 s of a 2 Mbit/s video, far beyond any retransmission.
REPLAY_WINDOW = 1024
#: Largest datagram of UDP.
MAX_DATAGRAM = 65_536

# srtp_err_status_t of libsrtp 2.
_AUTH_FAIL = 7
_REPLAY_FAIL = 9
_REPLAY_OLD = 10


@dataclass(frozen=True, slots=True)
class _ProfileInfo:
    #: Name in OpenSSL's `SSL_CTX_set_tlsext_use_srtp`.
    openssl: str
    libsrtp: int
    key_length: int
    salt_length: int


class SrtpProfile(Enum):
    """SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2), in the order of our preference.

    GCM costs about half of AES-CM with HMAC-SHA1 per packet.
    """

    AEAD_AES_128_GCM = _ProfileInfo("SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12)
    AEAD_AES_256_GCM = _ProfileInfo("SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12)
    AES128_CM_SHA1_80 = _ProfileInfo("SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14)
    AES128_CM_SHA1_32 = _ProfileInfo("SRTP_AES128_CM_SHA1_32", Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14)

    @property
    def openssl(self) -> str:
        return self.value.openssl

    @property
    def keying_length(self) -> int:
        """Octets of keying material for both directions (RFC 5764 section 4.2)."""
        return 2 * (self.value.key_length + self.value.salt_length)


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master key followed by master salt for each direction."""

    profile: SrtpProfile
    inbound: bytes = field(repr=False)
    outbound: bytes = field(repr=False)

    @classmethod
    def from_exporter(cls, profile: SrtpProfile, material: bytes, *, client: bool) -> SrtpKeys:
        """Split the keying material of "EXTRACTOR-dtls_srtp": client key, server key, client salt, server salt."""
        key, salt = profile.value.key_length, profile.value.salt_length
        of_client = material[:key] + material[2 * key : 2 * key + salt]
        of_server = material[key : 2 * key] + material[2 * key + salt : 2 * (key + salt)]
        return cls(profile, of_server if client else of_client, of_client if client else of_server)


class ReceiveBuffer:
    """The one buffer into which sockets read and in which SRTP decrypts."""

    def __init__(self) -> None:
        self.data = bytearray(MAX_DATAGRAM)
        self.view = memoryview(self.data)
        self.cdata: Any = ffi.from_buffer("char[]", self.data)


class SrtpTransport:
    """Unprotects what comes and protects our RTCP. Bad packets are counted, never raised."""

    def __init__(self, keys: SrtpKeys, buffer: ReceiveBuffer) -> None:
        self.auth_failures = 0
        self.replays = 0
        #: Packets that libsrtp refused for another reason, for instance because they are too short.
        self.malformed = 0
        self.profile = keys.profile
        self._view = buffer.view
        self._cdata = buffer.cdata
        self._length: Any = ffi.new("int *")
        self._inbound = Session(_policy(keys.profile, keys.inbound, Policy.SSRC_ANY_INBOUND))
        self._outbound = Session(_policy(keys.profile, keys.outbound, Policy.SSRC_ANY_OUTBOUND))
        self._srtp: Any = self._inbound._srtp[0]
        self._unprotect = lib.srtp_unprotect
        self._unprotect_rtcp = lib.srtp_unprotect_rtcp

    def unprotect(self, size: int) -> bytes | None:
        """The RTP packet in the first `size` octets of the buffer; None if it is not authentic or not new."""
        length = self._length
        length[0] = size
        status = self._unprotect(self._srtp, self._cdata, length)
        if status:
            self._count(status)
            return None
        return bytes(self._view[: length[0]])

    def unprotect_rtcp(self, size: int) -> bytes | None:
        """The RTCP packet in the first `size` octets of the buffer; None if it is not authentic or not new."""
        length = self._length
        length[0] = size
        status = self._unprotect_rtcp(self._srtp, self._cdata, length)
        if status:
            self._count(status)
            return None
        return bytes(self._view[: length[0]])

    def protect_rtcp(self, data: bytes) -> bytes | None:
        """The SRTCP packet; None if libsrtp refuses `data` (counted as malformed)."""
        try:
            protected: bytes = self._outbound.protect_rtcp(data)
        except (Error, ValueError):
            self.malformed += 1
            return None
        return protected

    def _count(self, status: int) -> None:
        if status == _AUTH_FAIL:
            self.auth_failures += 1
        elif status in (_REPLAY_FAIL, _REPLAY_OLD):
            self.replays += 1
        else:
            self.malformed += 1


def _policy(profile: SrtpProfile, key: bytes, ssrc_type: int) -> Policy:
    policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=profile.value.libsrtp)
    policy.window_size = REPLAY_WINDOW
    return policy
