"""What can be decoded after a loss."""

from __future__ import annotations

import pytest

from pyegress.rtp.continuity import Continuity
from pyegress.rtp.depacketizers.base import AssembledFrame, PictureIndex

pytestmark = pytest.mark.unit


def frame(
    picture_id: int | None = None,
    *,
    key: bool = False,
    base: int | None = None,
    layer: int = 0,
    sync: bool = False,
    bits: int = 15,
) -> AssembledFrame:
    picture = None if picture_id is None and base is None else PictureIndex(picture_id, bits, base, layer, sync)
    return AssembledFrame(b"x", key, picture=picture)


def test_it_begins_with_a_key_frame() -> None:
    continuity = Continuity()
    assert continuity.needs_keyframe
    assert not continuity.admit(frame())
    assert continuity.admit(frame(key=True))
    assert continuity.admit(frame())


def test_without_an_index_a_loss_means_waiting_for_a_key_frame() -> None:
    continuity = Continuity()
    continuity.admit(frame(key=True))
    continuity.lose()
    assert continuity.needs_keyframe, "known at once, not only with the next frame"
    assert not continuity.admit(frame())
    assert continuity.admit(frame(key=True))
    assert continuity.discontinuity


@pytest.mark.parametrize(
    ("last", "following", "bits"), [(5, 6, 15), (0x7FFF, 0, 15), (127, 0, 7)], ids=["plain", "wrap_15", "wrap_7"]
)
def test_consecutive_pictures_prove_that_only_padding_was_lost(last: int, following: int, bits: int) -> None:
    continuity = Continuity()
    continuity.admit(frame(last, key=True, bits=bits))
    continuity.lose()
    assert not continuity.needs_keyframe
    assert continuity.admit(frame(following, bits=bits))
    assert not continuity.discontinuity
    assert continuity.admit(frame(following + 1, bits=bits))


def test_a_missing_picture_without_layers_means_waiting() -> None:
    continuity = Continuity()
    continuity.admit(frame(5, key=True))
    continuity.lose()
    assert not continuity.admit(frame(7))
    assert continuity.needs_keyframe
    assert not continuity.admit(frame(8))
    assert continuity.admit(frame(9, key=True))


def test_a_lost_upper_layer_costs_only_what_refers_to_it() -> None:
    continuity = Continuity()
    assert continuity.admit(frame(1, key=True, base=10))
    assert continuity.admit(frame(2, base=10, layer=2))
    continuity.lose()  # picture 3, layer 1
    assert not continuity.admit(frame(4, base=10, layer=2))
    assert not continuity.needs_keyframe
    assert continuity.admit(frame(5, base=11))
    assert continuity.discontinuity
    assert continuity.admit(frame(6, base=11, layer=2))


def test_after_a_lost_upper_layer_a_sync_picture_can_be_decoded_but_not_what_follows_it() -> None:
    continuity = Continuity()
    continuity.admit(frame(1, key=True, base=255))
    continuity.lose()  # picture 2, layer 2
    assert continuity.admit(frame(3, base=255, layer=1, sync=True))
    assert not continuity.admit(frame(4, base=255, layer=2))
    assert not continuity.needs_keyframe
    assert continuity.admit(frame(5, base=0)), "the base index wraps"


def test_a_lost_base_layer_means_waiting() -> None:
    continuity = Continuity()
    continuity.admit(frame(1, key=True, base=10))
    continuity.lose()
    assert not continuity.admit(frame(4, base=12))
    assert continuity.needs_keyframe


def test_an_upper_layer_of_a_lost_base_means_waiting() -> None:
    continuity = Continuity()
    continuity.admit(frame(1, key=True, base=10))
    continuity.lose()
    assert not continuity.admit(frame(4, base=11, layer=1, sync=True))
    assert continuity.needs_keyframe
