"""Offers recorded from livekit-server 1.13.5, one file per situation, named by it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.codecs import Codec
from pyegress.room.answer import ABS_CAPTURE_TIME, build_answer
from pyegress.room.sdp import SdpError, parse_offer

pytestmark = pytest.mark.wire

DATA = Path(__file__).parent.parent / "data" / "sdp"
NAMES = sorted(path.stem for path in DATA.glob("*.sdp"))
FINGERPRINT = ":".join(["AB"] * 32)

MINIMAL = (
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
    "a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=sendrecv\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n"
    "a=fmtp:97 apt=96\r\n"
)


def offer_text(name: str) -> str:
    return (DATA / f"{name}.sdp").read_bytes().decode()


def answer_to(text: str) -> str:
    return build_answer(parse_offer(text), ufrag="ufra", pwd="p" * 22, fingerprint=FINGERPRINT)


def m_sections(sdp: str) -> list[list[str]]:
    """The lines of each m-line."""
    sections: list[list[str]] = []
    for line in sdp.split("\r\n"):
        if line.startswith("m="):
            sections.append([])
        if sections and line:
            sections[-1].append(line)
    return sections


def test_first_offer_has_only_the_data_channel() -> None:
    offer = parse_offer(offer_text("first_offer_data_only"))
    (section,) = offer.media
    assert (section.mid, section.kind, section.direction) == ("0", "application", "sendrecv")
    assert (section.sctp_port, section.max_message_size) == (5000, 65535)
    assert section.protocol == "UDP/DTLS/SCTP"
    assert offer.bundle == ("0",)
    assert offer.setup == "actpass"
    assert not offer.ice_lite
    assert len(offer.ice_ufrag) == 16
    assert [f.algorithm for f in offer.fingerprints] == ["sha-256"]
    assert len(offer.fingerprints[0].digest) == 64
    # Candidates of the first generation come by the signal channel.
    assert offer.candidates == ()
    assert not offer.end_of_candidates


def test_later_offers_carry_the_candidates() -> None:
    offer = parse_offer(offer_text("audio_with_red"))
    assert any(" udp " in line and line.split()[7] == "host" for line in offer.candidates)
    assert any("tcptype passive" in line for line in offer.candidates)
    assert len(set(offer.candidates)) == len(offer.candidates)
    assert offer.end_of_candidates


def test_audio_offer_with_red() -> None:
    section = parse_offer(offer_text("audio_with_red")).media[1]
    assert section.kind == "audio"
    assert section.sends
    assert list(section.payloads) == [111, 63, 0, 8]
    opus, red = section.payloads[111], section.payloads[63]
    assert (opus.codec, opus.clock_rate, opus.channels) == (Codec.OPUS, 48000, 2)
    assert opus.fmtp == {"minptime": "10", "useinbandfec": "1"}
    assert red.is_red
    assert red.codec is None
    assert red.fmtp_line == "111/111"
    assert section.payloads[0].codec is Codec.PCMU
    assert len(section.ssrcs) == 1
    assert section.fid_groups == {}
    assert section.msid is not None
    assert section.msid[1].startswith("TR_")
    assert ABS_CAPTURE_TIME in section.extmap.values()
    assert section.rtcp_mux
    assert section.rtcp_rsize


def test_rtx_ssrc_is_no_stream_of_its_own() -> None:
    section = parse_offer(offer_text("audio_and_vp8")).media[2]
    (ssrc,) = section.ssrcs
    assert list(section.fid_groups) == [ssrc]
    assert section.fid_groups[ssrc] not in section.ssrcs
    rtx = section.payloads[97]
    assert rtx.is_rtx
    assert rtx.apt == 96
    assert section.payloads[96].codec is Codec.VP8
    assert {p.codec for p in section.payloads.values() if p.codec} == {
        Codec.VP8,
        Codec.VP9,
        Codec.H264,
        Codec.AV1,
        Codec.H265,
    }
    assert section.payloads[116].rtcp_fb == ("ccm fir", "nack", "nack pli", "goog-remb")


def test_a_removed_track_leaves_a_section_that_sends_nothing() -> None:
    section = parse_offer(offer_text("video_removed")).media[2]
    assert section.direction == "recvonly"
    assert not section.sends
    assert section.ssrcs == ()
    assert section.msid is None


def test_a_reused_section_has_the_same_mid_and_another_stream() -> None:
    before = parse_offer(offer_text("audio_and_vp8")).media[2]
    after = parse_offer(offer_text("mline_reused_for_h264")).media[2]
    assert before.mid == after.mid
    assert set(before.ssrcs).isdisjoint(after.ssrcs)
    assert before.msid != after.msid


def test_an_ice_restart_changes_the_credentials_and_keeps_the_rest() -> None:
    before, after = parse_offer(offer_text("mline_reused_for_opus")), parse_offer(offer_text("ice_restart"))
    assert before.ice_ufrag != after.ice_ufrag
    assert before.fingerprints == after.fingerprints
    assert [s.ssrcs for s in before.media] == [s.ssrcs for s in after.media]
    assert before.session_id == after.session_id
    assert before.session_version < after.session_version


def test_ice_lite_is_seen() -> None:
    assert parse_offer(offer_text("ice_lite_transport_cc")).ice_lite


@pytest.mark.parametrize("name", NAMES)
def test_answer_mirrors_the_sections_of_the_offer(name: str) -> None:
    offer = parse_offer(offer_text(name))
    answer = answer_to(offer_text(name))
    sections = m_sections(answer)
    assert answer.startswith(f"v=0\r\no=- {offer.session_id} {offer.session_version} IN IP4 ")
    assert [s[0].split()[0] for s in sections] == [f"m={s.kind}" for s in offer.media]
    assert f"a=group:BUNDLE {' '.join(offer.bundle)}\r\n" in answer
    for section, lines in zip(offer.media, sections, strict=True):
        assert f"a=mid:{section.mid}" in lines
        assert "a=setup:active" in lines
        assert "a=ice-ufrag:ufra" in lines
        assert f"a=fingerprint:sha-256 {FINGERPRINT}" in lines
        directions = [line for line in lines if line in ("a=sendrecv", "a=recvonly", "a=sendonly", "a=inactive")]
        if section.kind == "application":
            assert directions == ["a=sendrecv"]
            assert "a=sctp-port:5000" in lines
        else:
            assert directions == ["a=recvonly" if section.direction == "sendrecv" else "a=inactive"]
            assert "a=rtcp-mux" in lines
            assert "a=rtcp-rsize" in lines
    # An answer reads like an offer: numbers and formats are consistent.
    assert [s.mid for s in parse_offer(answer).media] == [s.mid for s in offer.media]


@pytest.mark.parametrize("name", NAMES)
def test_answer_asks_for_nack_and_pli_only(name: str) -> None:
    answer = answer_to(offer_text(name))
    feedback = {line.split(" ", 1)[1] for line in answer.split("\r\n") if line.startswith("a=rtcp-fb:")}
    assert feedback <= {"nack", "nack pli"}
    extensions = {line.split(" ")[1] for line in answer.split("\r\n") if line.startswith("a=extmap:")}
    assert extensions <= {ABS_CAPTURE_TIME}


def test_answer_takes_every_recordable_codec_with_its_rtx() -> None:
    audio, video = m_sections(answer_to(offer_text("audio_and_vp8")))[1:]
    assert audio[0] == "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8"
    # 125 and 104 are H.264 with packetization-mode=0, 126 and 105 their RTX.
    assert video[0] == "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 108 109 102 103 35 36 116 117"
    assert "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" in video
    assert "a=rtcp-fb:96 nack pli" in video
    assert "a=fmtp:63 111/111" in audio


def test_answer_can_be_narrowed() -> None:
    offer = parse_offer(offer_text("audio_and_vp8"))
    answer = build_answer(
        offer,
        ufrag="ufra",
        pwd="p" * 22,
        fingerprint=FINGERPRINT,
        accept=lambda section, payload: payload.codec is Codec.OPUS,
    )
    _, audio, video = m_sections(answer)
    assert audio[0].endswith("SAVPF 111")
    assert video[0].startswith("m=video 0 ")
    assert "a=inactive" in video
    assert "a=group:BUNDLE 0 1\r\n" in answer


def test_our_candidates_stand_in_the_first_section() -> None:
    offer = parse_offer(offer_text("audio_and_vp8"))
    line = "candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host"
    answer = build_answer(offer, ufrag="ufra", pwd="p" * 22, fingerprint=FINGERPRINT, candidates=[line])
    first, *others = m_sections(answer)
    assert f"a={line}" in first
    assert not any("candidate" in text for section in others for text in section)


def test_a_server_that_insists_on_being_active_gets_a_passive_answer() -> None:
    assert "a=setup:passive" in answer_to(MINIMAL.replace("actpass", "active"))


def test_a_rejected_section_is_rejected_and_leaves_the_bundle() -> None:
    answer = answer_to(MINIMAL + "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\n")
    assert "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n" in answer
    assert "a=group:BUNDLE 0\r\n" in answer


def test_fec_and_unknown_codecs_are_left_out() -> None:
    text = MINIMAL.replace("96 97", "96 97 98 99") + "a=rtpmap:98 ulpfec/90000\r\na=rtpmap:99 wonder/90000\r\n"
    assert m_sections(answer_to(text))[0][0].endswith("SAVPF 96 97")


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("empty", ""),
        ("no version", MINIMAL.replace("v=0\r\n", "")),
        ("no credentials", MINIMAL.replace("a=ice-pwd", "a=x")),
        ("no fingerprint", MINIMAL.replace("a=fingerprint", "a=x")),
        ("m-line cut", MINIMAL.replace(" UDP/TLS/RTP/SAVPF 96 97", "")),
        ("port no number", MINIMAL.replace("video 9", "video nine")),
        ("payload type too large", MINIMAL.replace("96 97", "96 970")),
        ("clock rate negative", MINIMAL.replace("VP8/90000", "VP8/-90000")),
        ("clock rate missing", MINIMAL.replace("VP8/90000", "VP8")),
        ("digits of another script", MINIMAL.replace("VP8/90000", "VP8/٩٠")),
        ("apt no number", MINIMAL.replace("apt=96", "apt=x")),
        ("ssrc beyond 32 bits", MINIMAL + "a=ssrc:4294967296 cname:x\r\n"),
        ("ssrc number of thousands of digits", MINIMAL + f"a=ssrc:{'9' * 5000} cname:x\r\n"),
        ("same mid twice", MINIMAL + MINIMAL[MINIMAL.index("m=") :]),
        ("too long", MINIMAL + "a=x\r\n" * 300_000),
    ],
)
def test_malformed_offers_are_refused(fault: str, text: str) -> None:
    with pytest.raises(SdpError):
        parse_offer(text)


def test_passwords_are_not_shown() -> None:
    assert "0123456789012345678901" not in repr(parse_offer(MINIMAL))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_offers_raise_nothing_but_sdp_errors(data: st.DataObject) -> None:
    lines = offer_text(data.draw(st.sampled_from(NAMES))).split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["drop", "cut", "swap", "junk", "repeat"])):
            case "drop" if len(lines) > 1:
                del lines[index]
            case "cut":
                lines[index] = lines[index][: data.draw(st.integers(0, len(lines[index])))]
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[index], lines[other] = lines[other], lines[index]
            case "junk":
                place = data.draw(st.integers(0, len(lines[index])))
                lines[index] = lines[index][:place] + data.draw(st.text(max_size=8)) + lines[index][place:]
            case _:
                lines.insert(index, lines[index])
    with contextlib.suppress(SdpError):
        answer_to("\r\n".join(lines))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text())
def test_any_text_raises_nothing_but_sdp_errors(text: str) -> None:
    for candidate in (text, "v=0\r\n" + text, MINIMAL + "a=" + text):
        with contextlib.suppress(SdpError):
            answer_to(candidate)
