"""Our receiver against libsrtp as a sender, against a second implementation written from the RFCs, and its counters."""

from __future__ import annotations

import hashlib
import hmac
from importlib.metadata import version

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pylibsrtp import Policy, Session

from pyegress.room.srtp import REPLAY_WINDOW, ReceiveBuffer, SrtpKeys, SrtpProfile, SrtpTransport

pytestmark = pytest.mark.wire

#: Master key and salt of RFC 3711 appendix B.3.
KEY = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
SSRC = 0xCAFEBABE


def keys_for(profile: SrtpProfile) -> SrtpKeys:
    length = profile.keying_length // 2
    return SrtpKeys(profile, inbound=bytes(range(length)), outbound=bytes(range(100, 100 + length)))


def sender_for(profile: SrtpProfile, key: bytes) -> Session:
    policy = Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.value.libsrtp)
    policy.window_size = 8192
    policy.allow_repeat_tx = True
    return Session(policy)


def rtp(sequence: int, payload: bytes = b"payload of a packet") -> bytes:
    return b"\x80\x60" + (sequence & 0xFFFF).to_bytes(2, "big") + b"\0\0\0\1" + SSRC.to_bytes(4, "big") + payload


def rtcp(report: bytes = b"") -> bytes:
    return b"\x80\xc9" + (1 + len(report) // 4).to_bytes(2, "big") + SSRC.to_bytes(4, "big") + report


class Receiver:
    """A transport with its buffer filled the way a socket does it."""

    def __init__(self, keys: SrtpKeys) -> None:
        self.buffer = ReceiveBuffer()
        self.srtp = SrtpTransport(keys, self.buffer)

    def rtp(self, packet: bytes) -> bytes | None:
        self.buffer.data[: len(packet)] = packet
        return self.srtp.unprotect(len(packet))

    def rtcp(self, packet: bytes) -> bytes | None:
        self.buffer.data[: len(packet)] = packet
        return self.srtp.unprotect_rtcp(len(packet))

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.srtp.auth_failures, self.srtp.replays, self.srtp.malformed


@pytest.mark.parametrize("profile", SrtpProfile)
def test_packets_of_libsrtp_come_out_as_they_went_in(profile: SrtpProfile) -> None:
    keys = keys_for(profile)
    sender, receiver = sender_for(profile, keys.inbound), Receiver(keys)
    packets = [rtp(65_500 + i, bytes([i]) * i * 11) for i in range(100)]  # across the wrap of sequence numbers
    assert [receiver.rtp(sender.protect(packet)) for packet in packets] == packets
    report = rtcp(b"12345678")
    assert receiver.rtcp(sender.protect_rtcp(report)) == report
    assert receiver.counts == (0, 0, 0)


@pytest.mark.parametrize("profile", SrtpProfile)
def test_rtcp_of_ours_is_understood_by_libsrtp(profile: SrtpProfile) -> None:
    keys = keys_for(profile)
    peer = Session(Policy(key=keys.outbound, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile.value.libsrtp))
    receiver = Receiver(keys)
    for index in range(3):
        protected = receiver.srtp.protect_rtcp(rtcp(bytes([index]) * 4))
        assert protected is not None
        assert peer.unprotect_rtcp(protected) == rtcp(bytes([index]) * 4)


def test_rtcp_that_cannot_be_protected_is_counted() -> None:
    receiver = Receiver(keys_for(SrtpProfile.AEAD_AES_128_GCM))
    assert receiver.srtp.protect_rtcp(b"\x80\xc9") is None
    assert receiver.srtp.protect_rtcp(bytes(3000)) is None
    assert receiver.counts == (0, 0, 2)


@pytest.mark.parametrize("profile", SrtpProfile)
def test_forged_packets_are_counted_and_dropped(profile: SrtpProfile) -> None:
    keys = keys_for(profile)
    sender, receiver = sender_for(profile, keys.inbound), Receiver(keys)
    protected = bytearray(sender.protect(rtp(1)))
    for place in (1, 4, 13, len(protected) - 1):
        forged = bytearray(protected)
        forged[place] ^= 1
        assert receiver.rtp(bytes(forged)) is None
    assert receiver.counts == (4, 0, 0)
    assert receiver.rtp(bytes(protected)) == rtp(1), "a forgery must not use up the sequence number"
    report = bytearray(sender.protect_rtcp(rtcp(b"1234")))
    report[9] ^= 1
    assert receiver.rtcp(bytes(report)) is None
    assert receiver.counts == (5, 0, 0)


def test_short_packets_are_counted_and_dropped() -> None:
    receiver = Receiver(keys_for(SrtpProfile.AES128_CM_SHA1_80))
    for size in (0, 1, 11, 12, 20):
        assert receiver.rtp(bytes([0x80] * size)) is None
        assert receiver.rtcp(bytes([0x80, 0xC9] + [0] * size)) is None
    assert sum(receiver.counts) == 10


@pytest.mark.parametrize("profile", SrtpProfile)
def test_replays_are_counted_and_dropped(profile: SrtpProfile) -> None:
    keys = keys_for(profile)
    sender, receiver = sender_for(profile, keys.inbound), Receiver(keys)
    protected = sender.protect(rtp(1))
    assert receiver.rtp(protected) == rtp(1)
    assert receiver.rtp(protected) is None
    report = sender.protect_rtcp(rtcp(b"1234"))
    assert receiver.rtcp(report) == rtcp(b"1234")
    assert receiver.rtcp(report) is None
    assert receiver.counts == (0, 2, 0)


def test_the_window_admits_what_is_late_and_refuses_what_is_too_old() -> None:
    profile = SrtpProfile.AEAD_AES_256_GCM
    keys = keys_for(profile)
    sender, receiver = sender_for(profile, keys.inbound), Receiver(keys)
    protected = {n: sender.protect(rtp(n)) for n in range(1, REPLAY_WINDOW + 200)}
    newest = REPLAY_WINDOW + 100
    assert receiver.rtp(protected[1]) is not None
    assert receiver.rtp(protected[newest]) is not None
    assert receiver.rtp(protected[newest - REPLAY_WINDOW + 1]) is not None, "late, but inside the window"
    assert receiver.rtp(protected[newest - REPLAY_WINDOW - 1]) is None, "beyond the window"
    assert receiver.counts == (0, 1, 0)


def test_streams_are_told_apart() -> None:
    profile = SrtpProfile.AES128_CM_SHA1_80
    keys = keys_for(profile)
    sender, receiver = sender_for(profile, keys.inbound), Receiver(keys)
    packets = [rtp(1)[:8] + ssrc.to_bytes(4, "big") + b"x" for ssrc in range(1, 50)]
    assert [receiver.rtp(sender.protect(packet)) for packet in packets] == packets
    assert receiver.counts == (0, 0, 0)


def test_keying_material_is_split_by_role() -> None:
    """RFC 5764 section 4.2: client key, server key, client salt, server salt."""
    material = b"C" * 16 + b"S" * 16 + b"c" * 14 + b"s" * 14
    profile = SrtpProfile.AES128_CM_SHA1_80
    assert profile.keying_length == len(material)
    client = SrtpKeys.from_exporter(profile, material, client=True)
    server = SrtpKeys.from_exporter(profile, material, client=False)
    assert client.outbound == server.inbound == b"C" * 16 + b"c" * 14
    assert client.inbound == server.outbound == b"S" * 16 + b"s" * 14
    assert "CCCC" not in repr(client)


# A second implementation, from the RFCs.


def derive(label: int, length: int, key: bytes = KEY, salt: bytes = SALT) -> bytes:
    """RFC 3711 section 4.3.1 with a key derivation rate of 0."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    counter = modes.CTR((x << 16).to_bytes(16, "big"))
    return Cipher(algorithms.AES(key), counter).encryptor().update(bytes(length))


def test_the_second_implementation_derives_the_keys_of_the_rfc() -> None:
    """RFC 3711 appendix B.3."""
    assert derive(0, 16) == bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    assert derive(2, 14) == bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    assert derive(1, 16) == bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A15")


@pytest.mark.parametrize(("profile", "tag"), [(SrtpProfile.AES128_CM_SHA1_80, 10), (SrtpProfile.AES128_CM_SHA1_32, 4)])
def test_aes_cm_by_the_rfc(profile: SrtpProfile, tag: int) -> None:
    """RFC 3711 sections 4.1.1 and 4.2."""
    packet = rtp(0x1234, b"\xab" * 100)
    index = 0x1234
    iv = (int.from_bytes(derive(2, 14), "big") << 16) ^ (SSRC << 64) ^ (index << 16)
    body = Cipher(algorithms.AES(derive(0, 16)), modes.CTR(iv.to_bytes(16, "big"))).encryptor().update(packet[12:])
    protected = packet[:12] + body
    protected += hmac.new(derive(1, 20), protected + bytes(4), hashlib.sha1).digest()[:tag]
    receiver = Receiver(SrtpKeys(profile, inbound=KEY + SALT, outbound=KEY + SALT))
    assert receiver.rtp(protected) == packet


@pytest.mark.parametrize("profile", [SrtpProfile.AEAD_AES_128_GCM, SrtpProfile.AEAD_AES_256_GCM])
def test_aes_gcm_by_the_rfc(profile: SrtpProfile) -> None:
    """RFC 7714 sections 8.1 and 8.2."""
    key, salt = KEY * (profile.value.key_length // 16), SALT[:12]
    packet = rtp(0x1234, b"\xab" * 100)
    session_salt = derive(2, 12, key, salt)
    iv = int.from_bytes(session_salt, "big") ^ (SSRC << 48) ^ 0x1234
    cipher = AESGCM(derive(0, len(key), key, salt))
    protected = packet[:12] + cipher.encrypt(iv.to_bytes(12, "big"), packet[12:], packet[:12])
    receiver = Receiver(SrtpKeys(profile, inbound=key + salt, outbound=key + salt))
    assert receiver.rtp(protected) == packet


def test_the_internals_that_we_use_are_there() -> None:
    """pylibsrtp is pinned; whoever moves the pin reads room/srtp.py again."""
    assert version("pylibsrtp") == "1.0.0"
    from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]

    session = Session(Policy(key=KEY + SALT, ssrc_type=Policy.SSRC_ANY_INBOUND))
    buffer = bytearray(100)
    length = ffi.new("int *", 50)
    status = lib.srtp_unprotect(session._srtp[0], ffi.from_buffer("char[]", buffer), length)
    assert isinstance(status, int)
    assert status != lib.srtp_err_status_ok
    assert callable(lib.srtp_unprotect_rtcp)
