"""DTLS-SRTP (RFC 5764, RFC 8842) over memory BIOs: datagrams in, datagrams and SRTP keys out. No sockets, no timers."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from pyegress.clock import wall
from pyegress.errors import RoomConnectionFailed
from pyegress.room.sdp import Fingerprint
from pyegress.room.srtp import SrtpKeys, SrtpProfile

#: Octets per datagram of a handshake: passes every path that carries WebRTC.
MTU = 1200
_RECORD_HEADER = 13  # RFC 6347 section 4.1
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"  # RFC 5764 section 4.2
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed ECDSA P-256 certificate, as WebRTC uses them (RFC 8827 section 6.5)."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def generate(cls) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
        today = datetime.fromtimestamp(wall(), UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - timedelta(days=1))
            .not_valid_after(today + timedelta(days=365))
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def fingerprint(self) -> str:
        """SHA-256 in colon form, for `a=fingerprint`."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


class DtlsSession:
    """One DTLS association.

    The owner feeds datagrams, sends what `take` gives, and calls `handle_timeout` after `timeout` seconds.
    Any method may raise RoomConnectionFailed; the association is useless then.
    """

    def __init__(
        self,
        certificate: Certificate,
        fingerprints: Sequence[Fingerprint],
        *,
        active: bool = True,
        profiles: Sequence[SrtpProfile] = tuple(SrtpProfile),
    ) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(certificate.certificate)
        context.use_privatekey(certificate.key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(":".join(profile.openssl for profile in profiles).encode())
        context.set_options(SSL.OP_NO_QUERY_MTU)
        # Certificates are self-signed: what counts is the fingerprint, compared when the handshake is done.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self._ssl = SSL.Connection(context, None)
        self._ssl.set_ciphertext_mtu(MTU)
        self._active = active
        if active:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self._fingerprints = tuple(fingerprints)
        self._started = False
        self._flight: list[bytes] = []
        #: The SRTP keys, once the handshake is done and the peer is who it claims to be.
        self.keys: SrtpKeys | None = None
        #: The peer has closed the association (close_notify or a fatal alert).
        self.closed = False

    @property
    def started(self) -> bool:
        return self._started

    def start(self) -> None:
        """Begin the handshake; the passive side only waits."""
        if not self._started:
            self._started = True
            self._handshake()

    def feed(self, datagram: bytes) -> None:
        """A datagram of the peer. Application data (SCTP) is read and dropped: a recorder opens no data channel."""
        if self.closed:
            return
        self._started = True
        try:
            self._ssl.bio_write(datagram)
        except SSL.Error:  # full: only possible when OpenSSL stopped reading
            return
        if self.keys is None:
            self._handshake()
        if self.keys is not None:
            self._read()

    def take(self) -> list[bytes]:
        """Datagrams to send now."""
        chunks: list[bytes] = []
        while True:
            try:
                chunks.append(self._ssl.bio_read(MAX_FLIGHT))
            except SSL.WantReadError:
                break
        datagrams = list(_datagrams(b"".join(chunks)))
        if datagrams:
            self._flight = datagrams
        return datagrams

    @property
    def flight(self) -> Sequence[bytes]:
        """The datagrams of our last flight while the peer has not answered it."""
        return () if self.keys is not None else tuple(self._flight)

    def timeout(self) -> float | None:
        """Seconds until `handle_timeout` is due; None when no timer runs (RFC 6347 section 4.2.4)."""
        return self._ssl.DTLSv1_get_timeout() if self._started and self.keys is None else None

    def handle_timeout(self) -> None:
        """Repeat the last flight if its time has come."""
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise _failed(f"The DTLS handshake failed: {_reason(error)}") from error

    def close(self) -> None:
        """Queue close_notify; send what `take` gives afterwards."""
        if self.keys is not None and not self.closed:
            self.closed = True
            with contextlib.suppress(SSL.Error):
                self._ssl.shutdown()

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self.closed = True
            raise _failed(f"The DTLS handshake failed: {_reason(error)}") from error
        self._check_peer()
        name = self._ssl.get_selected_srtp_profile().decode()
        profile = next((profile for profile in SrtpProfile if profile.openssl == name), None)
        if profile is None:
            raise _failed("The media server agreed on no SRTP profile")
        material = self._ssl.export_keying_material(_EXPORTER_LABEL, profile.keying_length)
        self.keys = SrtpKeys.from_exporter(profile, material, client=self._active)

    def _check_peer(self) -> None:
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise _failed("The media server sent no certificate")
        known = [f for f in self._fingerprints if f.algorithm in _HASHES]
        if not known:
            raise _failed("The server's offer names no fingerprint of a hash that is safe (sha-256, sha-384, sha-512)")
        for fingerprint in known:
            digest = certificate.fingerprint(_HASHES[fingerprint.algorithm]).hex().upper()
            if hmac.compare_digest(digest.encode(), fingerprint.digest.encode()):
                return
        raise RoomConnectionFailed(
            "The media server's certificate does not match the fingerprint in its offer",
            remedy="Something between us and the server intercepts media, or signalling and media reach different "
            "servers: check proxies and load balancers",
            retryable=False,
        )

    def _read(self) -> None:
        while True:
            try:
                self._ssl.recv(MAX_FLIGHT)
            except SSL.WantReadError:
                return
            except (SSL.ZeroReturnError, SSL.SysCallError):
                self.closed = True
                return
            except SSL.Error:
                # A broken record is dropped (RFC 6347 section 4.1.2.7); a fatal alert ends the association.
                self.closed = bool(self._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)
                return


MAX_FLIGHT = 65_536


def _datagrams(data: bytes) -> list[bytes]:
    """Cut what a memory BIO ran together: whole records, as many as fit into one datagram."""
    datagrams: list[bytes] = []
    start = end = 0
    while end + _RECORD_HEADER <= len(data):
        size = _RECORD_HEADER + int.from_bytes(data[end + 11 : end + 13], "big")
        if end > start and end + size - start > MTU:
            datagrams.append(data[start:end])
            start = end
        end += size
    if end > start:
        datagrams.append(data[start:end])
    return datagrams


def _reason(error: SSL.Error) -> str:
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "; ".join(str(entry[-1]) for entry in entries if entry) or type(error).__name__


def _failed(message: str) -> RoomConnectionFailed:
    return RoomConnectionFailed(message, remedy="Look into the log of livekit-server, and try again")
