from __future__ import annotations

import itertools

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.base import PictureIndex
from pyegress.rtp.depacketizers.vp9 import key_frame_size, read_descriptor, superframe
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.bit_writer import BitWriter
from tests.rtp.depacketizers.driver import received

pytestmark = pytest.mark.unit

#: Uncompressed headers (VP9 section 6.2), profile 0: a 320x180 key frame and an inter frame.
KEY = bytes.fromhex("824983420013f00b30") + bytes(range(40))
INTER = bytes.fromhex("86004092") + bytes(range(60))


def _read_superframe(data: bytes) -> list[bytes]:
    """The frames of a superframe by its index (VP9 Annex B.3)."""
    marker = data[-1]
    assert marker >> 5 == 6
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = data[-(2 + count * width) :]
    assert index[0] == marker
    out, at = [], 0
    for start in range(1, 1 + count * width, width):
        size = int.from_bytes(index[start : start + width], "little")
        out.append(data[at : at + size])
        at += size
    assert at + len(index) == len(data)
    return out


@pytest.mark.parametrize(
    ("picture_id", "wide_id", "layer_numbers", "flexible", "inter", "structure"),
    list(itertools.product([None, 99], [False, True], [False, True], [False, True], [False, True], [False, True])),
)
def test_descriptor_fields(
    picture_id: int | None, wide_id: bool, layer_numbers: bool, flexible: bool, inter: bool, structure: bool
) -> None:
    sizes = [(160, 90), (320, 180)]
    (payload,) = packetizers.vp9(
        [INTER],
        1200,
        inter=inter,
        picture_id=picture_id,
        wide_id=wide_id,
        layer_numbers=layer_numbers,
        tid=2,
        up=True,
        tl0=77,
        differences=(1, 2, 4),
        flexible=flexible,
        structure=packetizers.vp9_structure(sizes, [(0, True, ()), (1, False, (1, 2, 3))]) if structure else b"",
    )
    descriptor = read_descriptor(payload)
    assert payload[descriptor.length :] == INTER
    assert descriptor.inter_predicted == inter
    assert descriptor.flexible == flexible
    assert (descriptor.starts_layer_frame, descriptor.ends_layer_frame) == (True, True)
    assert descriptor.picture_id == picture_id
    assert descriptor.temporal_id == (2 if layer_numbers else None)
    assert descriptor.spatial_id == (0 if layer_numbers else None)
    assert descriptor.switching_up == layer_numbers
    assert not descriptor.inter_layer
    tl0 = 77 if layer_numbers and not flexible else None
    assert descriptor.tl0_picture_index == tl0
    assert (descriptor.structure is not None) == structure
    if descriptor.structure:
        assert descriptor.structure.spatial_layers == 2
        assert descriptor.structure.sizes == tuple(sizes)
    if picture_id is None and tl0 is None:
        assert descriptor.picture is None
    else:
        bits = 15 if wide_id and picture_id is not None else 7
        assert descriptor.picture == PictureIndex(picture_id, bits, tl0, 2 if layer_numbers else 0, layer_numbers)


def test_a_single_layer_stays_byte_for_byte() -> None:
    depacketizer = depacketizer_for(Codec.VP9)
    structure = packetizers.vp9_structure([(320, 180)])
    key = received(depacketizer, packetizers.vp9([KEY], 20, inter=False, layer_numbers=True, structure=structure))
    assert (key.payload, key.keyframe, key.size) == (KEY, True, (320, 180))
    inter = received(depacketizer, packetizers.vp9([INTER], 20, inter=True, layer_numbers=True))
    assert (inter.payload, inter.keyframe, inter.size) == (INTER, False, None)


def test_an_intra_only_frame_is_no_key_frame() -> None:
    # P clear says only that nothing before is referred to; a decoder starts at key frames alone.
    frame = received(depacketizer_for(Codec.VP9), packetizers.vp9([INTER], 20, inter=False))
    assert not frame.keyframe


def test_layers_of_a_picture_become_a_superframe() -> None:
    layers = [KEY, INTER, INTER * 20]
    structure = packetizers.vp9_structure([(320, 180), (640, 360), (1280, 720)])
    payloads = packetizers.vp9(layers, 100, inter=False, layer_numbers=True, structure=structure)
    frame = received(depacketizer_for(Codec.VP9), payloads)
    assert _read_superframe(frame.payload) == layers
    assert (frame.keyframe, frame.size) == (True, (1280, 720))


def test_size_is_that_of_the_highest_layer_that_came() -> None:
    structure = packetizers.vp9_structure([(320, 180), (640, 360), (1280, 720)])
    payloads = packetizers.vp9([KEY, INTER], 100, inter=False, layer_numbers=True, structure=structure)
    assert received(depacketizer_for(Codec.VP9), payloads).size == (640, 360)
    payloads = packetizers.vp9([KEY], 100, inter=False, layer_numbers=True, structure=structure)
    assert received(depacketizer_for(Codec.VP9), payloads).size == (320, 180)
    payloads = packetizers.vp9([KEY, INTER], 100, inter=False, layer_numbers=True)
    assert received(depacketizer_for(Codec.VP9), payloads).size is None


def test_an_upper_layer_predicted_from_a_lower_one_does_not_start_a_picture() -> None:
    depacketizer = depacketizer_for(Codec.VP9)
    base, upper = packetizers.vp9([KEY, INTER], 1200, inter=False, layer_numbers=True)
    assert depacketizer.inspect(base, False)[1:] == (True, False)
    assert depacketizer.inspect(upper, True)[1:] == (False, True)


def test_an_upper_layer_alone_starts_a_picture() -> None:
    # K-SVC: between key pictures the server leaves out the lower layers.
    payloads = packetizers.vp9([INTER], 30, inter=True, layer_numbers=True, first_layer=2)
    assert received(depacketizer_for(Codec.VP9), payloads).payload == INTER


def test_without_layer_numbers_the_layer_frame_ends_the_picture() -> None:
    depacketizer = depacketizer_for(Codec.VP9)
    first, last = packetizers.vp9([INTER], 40, inter=True)
    assert not depacketizer.inspect(first, False).ends_frame
    assert depacketizer.inspect(last, False).ends_frame


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="vp9_empty"),
        pytest.param("0c", id="vp9_descriptor_without_frame"),
        pytest.param("8c", id="vp9_picture_id_missing"),
        pytest.param("8c81", id="vp9_picture_id_truncated"),
        pytest.param("2c", id="vp9_layer_indices_missing"),
        pytest.param("2c00", id="vp9_tl0_missing"),
        pytest.param("5c", id="vp9_reference_differences_missing"),
        pytest.param("5c0303", id="vp9_reference_differences_truncated"),
        pytest.param("5c0303030203", id="vp9_four_reference_differences"),
        pytest.param("0e", id="vp9_structure_missing"),
        pytest.param("0e30014000b40280", id="vp9_structure_sizes_truncated"),
        pytest.param("0e08", id="vp9_structure_picture_group_missing"),
        pytest.param("0e0802000c01", id="vp9_structure_picture_group_truncated"),
    ],
)
def test_truncated_descriptors_are_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP9).inspect(bytes.fromhex(payload), True)
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP9).assemble([bytes.fromhex(payload)])


_LAYERS = packetizers.vp9([KEY, INTER], 40, inter=False, layer_numbers=True)


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([], id="vp9_no_packets"),
        pytest.param(_LAYERS[1:], id="vp9_without_start"),
        pytest.param(_LAYERS[:-1], id="vp9_without_end"),
        pytest.param([*_LAYERS[:1], *_LAYERS[2:]], id="vp9_layer_without_end"),
        pytest.param(_LAYERS + _LAYERS, id="vp9_layer_twice"),
        pytest.param([b"\x0c" + KEY] * 2, id="vp9_two_pictures_without_layers"),
        pytest.param([b"\x28\x00\x00" + KEY, b"\x24\x02\x00" + KEY], id="vp9_layer_changes_inside_its_frame"),
        pytest.param([b"\x0c\x42" + KEY[1:]], id="vp9_frame_marker_wrong"),
        pytest.param([b"\x0c" + KEY[:3] + bytes(20)], id="vp9_sync_code_wrong"),
        pytest.param([b"\x0c" + KEY[:6]], id="vp9_key_frame_header_truncated"),
        pytest.param([b"\x0c\xb8" + KEY[1:]], id="vp9_profile_reserved"),
        pytest.param([b"\x0c\x82\x49\x83\x42\xe0" + bytes(9)], id="vp9_colour_space_not_of_profile"),
    ],
)
def test_pictures_that_cannot_be_are_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP9).assemble(payloads)


@pytest.mark.parametrize("show_existing", [False, True])
@pytest.mark.parametrize("srgb", [False, True])
@pytest.mark.parametrize("profile", [0, 1, 2, 3])
def test_key_frame_size_by_profile(profile: int, srgb: bool, show_existing: bool) -> None:
    writer = BitWriter().u(2, 2).flags(profile & 1, profile >> 1)
    if profile == 3:
        writer.flags(0)
    writer.flags(show_existing, 0, 1, 0).u(24, 0x498342)
    if profile >= 2:
        writer.flags(1)
    writer.u(3, 7 if srgb else 2)
    if not srgb:
        writer.flags(0)
    if profile in (1, 3):
        writer.flags(*((0,) if srgb else (0, 0, 0)))
    frame = writer.u(16, 319).u(16, 179).done()
    if show_existing:
        assert key_frame_size(frame) is None
    elif srgb and profile in (0, 2):
        with pytest.raises(ProtocolError):
            key_frame_size(frame)
    else:
        assert key_frame_size(frame) == (320, 180)


def test_no_more_than_eight_frames_fit_a_superframe() -> None:
    assert _read_superframe(superframe([INTER] * 8)) == [INTER] * 8
    with pytest.raises(ProtocolError):
        superframe([INTER] * 9)
