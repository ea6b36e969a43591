"""Handshakes against a second OpenSSL endpoint in this process, over a pipe that drops what the test says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from pyegress.errors import RoomConnectionFailed
from pyegress.room.dtls import MTU, Certificate, DtlsSession
from pyegress.room.sdp import Fingerprint
from pyegress.room.srtp import SrtpProfile

pytestmark = pytest.mark.wire


def fingerprints(certificate: Certificate) -> tuple[Fingerprint, ...]:
    return (Fingerprint("sha-256", certificate.fingerprint.replace(":", "")),)


class Peer:
    """A DTLS server on pyOpenSSL alone."""

    def __init__(self, certificate: Certificate, *, profiles: str = "SRTP_AES128_CM_SHA1_80") -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(certificate.certificate)
        context.use_privatekey(certificate.key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        if profiles:
            context.set_tlsext_use_srtp(profiles.encode())
        context.set_options(SSL.OP_NO_QUERY_MTU)
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_ciphertext_mtu(MTU)
        self.ssl.set_accept_state()
        self.done = False

    def feed(self, datagram: bytes) -> None:
        self.ssl.bio_write(datagram)
        with contextlib.suppress(SSL.WantReadError):
            if not self.done:
                self.ssl.do_handshake()
                self.done = True
            # Reading makes OpenSSL repeat its last flight when ours comes again.
            self.ssl.recv(65_536)

    def take(self) -> list[bytes]:
        try:
            return [self.ssl.bio_read(65_536)]
        except SSL.WantReadError:
            return []

    def material(self, length: int) -> bytes:
        return self.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", length)


def converse(ours: DtlsSession, peer: Peer, *, drop: Iterable[int] = ()) -> int:
    """Carry datagrams to and fro until both are silent; `drop` numbers datagrams in the order they were sent."""
    lost = set(drop)
    number = 0
    while True:
        carried = False
        for take, feed in ((ours.take, peer.feed), (peer.take, ours.feed)):
            for datagram in take():
                carried = True
                if number not in lost:
                    feed(datagram)
                number += 1
        if not carried:
            return number


def assert_same_keys(ours: DtlsSession, peer: Peer) -> None:
    assert ours.keys is not None
    assert peer.ssl.get_selected_srtp_profile().decode() == ours.keys.profile.openssl
    info = ours.keys.profile.value
    material = peer.material(ours.keys.profile.keying_length)
    key, salt = info.key_length, info.salt_length
    assert ours.keys.outbound == material[:key] + material[2 * key : 2 * key + salt]
    assert ours.keys.inbound == material[key : 2 * key] + material[2 * key + salt :]


@pytest.fixture(scope="module")
def server() -> Certificate:
    return Certificate.generate()


@pytest.fixture(scope="module")
def client() -> Certificate:
    return Certificate.generate()


@pytest.mark.parametrize("profile", SrtpProfile)
def test_handshake_gives_the_keys_of_the_agreed_profile(
    profile: SrtpProfile, server: Certificate, client: Certificate
) -> None:
    peer = Peer(server, profiles=profile.openssl)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer)
    assert peer.done
    assert ours.keys is not None
    assert ours.keys.profile is profile
    assert ours.timeout() is None
    assert_same_keys(ours, peer)


def test_the_peer_sees_the_certificate_of_our_fingerprint(server: Certificate, client: Certificate) -> None:
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer)
    seen = peer.ssl.get_peer_certificate(as_cryptography=True)
    assert seen is not None
    assert seen.fingerprint(hashes.SHA256()).hex(":").upper() == client.fingerprint


def test_flights_are_cut_into_datagrams_of_the_path(server: Certificate, client: Certificate) -> None:
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    peer = Peer(server)
    while ours.keys is None:
        for datagram in ours.take():
            assert len(datagram) <= MTU
            assert 20 <= datagram[0] <= 63, "every datagram begins with a record (RFC 7983)"
            peer.feed(datagram)
        for datagram in peer.take():
            ours.feed(datagram)


@pytest.mark.parametrize("drop", [[0], [1], [2], [3], [0, 2], [1, 3], [2, 3, 4]])
def test_handshake_survives_loss(drop: list[int], server: Certificate, client: Certificate) -> None:
    """Our flights are repeated, and a repeated flight makes the peer repeat its own."""
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer, drop=drop)
    for _ in range(3):
        if ours.keys is not None:
            break
        for datagram in ours.flight:
            peer.feed(datagram)
        converse(ours, peer)
        if ours.keys is None:
            left = ours.timeout()
            assert left is not None, "a handshake that is not done must have a timer"
            assert left <= 4
            threading.Event().wait(left)
            ours.handle_timeout()
            converse(ours, peer)
    assert peer.done
    assert_same_keys(ours, peer)


def test_first_flight_stays_at_hand_until_the_end(server: Certificate, client: Certificate) -> None:
    ours = DtlsSession(client, fingerprints(server))
    assert ours.timeout() is None
    ours.start()
    assert ours.flight == ()
    first = ours.take()
    assert list(ours.flight) == first
    left = ours.timeout()
    assert left is not None
    assert 0 < left <= 1
    peer = Peer(server)
    for datagram in first:
        peer.feed(datagram)
    converse(ours, peer)
    assert ours.flight == ()


def test_garbage_between_flights_changes_nothing(server: Certificate, client: Certificate) -> None:
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    for junk in (b"", b"\x16", b"\x16\xfe\xfd" + bytes(10), b"\x17\xfe\xfd" + b"\xff" * 40, bytes(range(20, 64)) * 3):
        ours.feed(junk)
    ours.start()
    ours.feed(b"\x16\xfe\xfd" + b"\xff" * 30)
    converse(ours, peer)
    assert_same_keys(ours, peer)


def test_passive_role(server: Certificate, client: Certificate) -> None:
    ours = DtlsSession(server, fingerprints(client), active=False)
    ours.start()
    assert ours.take() == []
    active = DtlsSession(client, fingerprints(server))
    active.start()
    for _ in range(6):
        for datagram in active.take():
            ours.feed(datagram)
        for datagram in ours.take():
            active.feed(datagram)
    assert ours.keys is not None
    assert active.keys is not None
    assert ours.keys.inbound == active.keys.outbound
    assert ours.keys.outbound == active.keys.inbound


def test_another_certificate_than_offered_is_refused(server: Certificate, client: Certificate) -> None:
    ours = DtlsSession(client, fingerprints(Certificate.generate()))
    ours.start()
    with pytest.raises(RoomConnectionFailed, match="does not match the fingerprint") as caught:
        converse(ours, Peer(server))
    assert ours.keys is None
    assert caught.value.remedy
    assert not caught.value.retryable


def test_fingerprints_of_weak_hashes_do_not_count(server: Certificate, client: Certificate) -> None:
    digest = server.certificate.fingerprint(hashes.SHA1()).hex().upper()
    ours = DtlsSession(client, (Fingerprint("sha-1", digest),))
    ours.start()
    with pytest.raises(RoomConnectionFailed, match="no fingerprint"):
        converse(ours, Peer(server))


@pytest.mark.parametrize("algorithm", [hashes.SHA384(), hashes.SHA512()])
def test_longer_hashes_count(algorithm: hashes.HashAlgorithm, server: Certificate, client: Certificate) -> None:
    digest = server.certificate.fingerprint(algorithm).hex().upper()
    ours = DtlsSession(client, (Fingerprint(algorithm.name.replace("sha", "sha-"), digest),))
    ours.start()
    converse(ours, Peer(server))
    assert ours.keys is not None


def test_a_peer_without_srtp_is_refused(server: Certificate, client: Certificate) -> None:
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    with pytest.raises(RoomConnectionFailed, match="no SRTP profile"):
        converse(ours, Peer(server, profiles=""))


def test_application_data_is_read_and_dropped(server: Certificate, client: Certificate) -> None:
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer)
    keys = ours.keys
    for _ in range(100):
        peer.ssl.send(b"SCTP" * 250)
        for datagram in peer.take():
            ours.feed(datagram)
    assert ours.take() == []
    assert not ours.closed
    assert ours.keys is keys
    ours.feed(b"\x17\xfe\xfd" + b"\xff" * 40)
    assert not ours.closed


def test_close_notify_of_the_peer_is_seen(server: Certificate, client: Certificate) -> None:
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer)
    peer.ssl.shutdown()
    for datagram in peer.take():
        ours.feed(datagram)
    assert ours.closed


def test_our_close_is_seen_by_the_peer(server: Certificate, client: Certificate) -> None:
    peer = Peer(server)
    ours = DtlsSession(client, fingerprints(server))
    ours.start()
    converse(ours, peer)
    ours.close()
    ours.close()
    for datagram in ours.take():
        peer.ssl.bio_write(datagram)
    with pytest.raises(SSL.ZeroReturnError):
        peer.ssl.recv(100)


def test_certificates_are_of_their_own(server: Certificate, client: Certificate) -> None:
    assert server.fingerprint != client.fingerprint
    assert len(server.fingerprint.split(":")) == 32
