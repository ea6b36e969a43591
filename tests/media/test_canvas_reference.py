"""The reference's own pictures, drawn again from what can be cut out of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyegress.layouts.geometry import Size
from pyegress.media.canvas import Canvas
from pyegress.media.planes import planes_of
from tests.layouts.scenes import arrange, camera, person
from tests.media.pictures import frame_of, ssim

pytestmark = pytest.mark.media

_FOLDER = Path(__file__).parents[1] / "data" / "egress_pictures"
#: Left, top, right, bottom of each participant's picture in the frame.
_WHOLE = (0, 0, 1279, 719)
_QUARTERS = ((0, 0, 640, 360), (640, 0, 1279, 360), (0, 360, 640, 719))
#: A part of the frame for somebody who is not in it: were he drawn, it would be seen.
_UNSEEN = (0, 0, 320, 180)
_MAIN, _STRIP = (213, 0, 1279, 719), ((0, 0, 213, 133), (0, 133, 213, 266))


def published(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The 640x360 picture of which `box` shows the middle; grey where the frame does not show it."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = max(width / 640, height / 360)
    part = image.crop(box).resize((round(width / scale), round(height / scale)), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (640, 360), (128, 128, 128))
    whole.paste(part, ((640 - part.width) // 2, (360 - part.height) // 2))
    return whole


@pytest.mark.parametrize(
    ("name", "layout", "boxes", "least"),
    [
        ("grid_1p", "grid", (_WHOLE,), 0.97),
        ("grid_2p", "grid", ((0, 0, 640, 719), (640, 0, 1279, 719)), 0.97),
        ("grid_3p", "grid", _QUARTERS, 0.995),
        ("grid-light_3p", "grid-light", _QUARTERS, 0.995),
        ("grid-light_1p_0video", "grid-light", (), 0.995),
        ("grid_3p_1video", "grid", (_WHOLE, None, None), 0.97),
        ("speaker_1p", "speaker", (_WHOLE,), 0.97),
        ("single-speaker_2p", "single-speaker", (_WHOLE, _UNSEEN), 0.97),
        ("speaker_2p", "speaker", (_MAIN, _STRIP[0]), 0.97),
        ("speaker_3p", "speaker", (_MAIN, *_STRIP), 0.97),
    ],
)
def test_pictures_look_as_the_reference_draws_them(
    name: str, layout: str, boxes: tuple[tuple[int, int, int, int] | None, ...], least: float
) -> None:
    """`boxes` has None for who publishes no video."""
    image = Image.open(_FOLDER / f"{name}.webp").convert("RGB")
    pictures = {f"C{number}": frame_of(published(image, box)) for number, box in enumerate(boxes) if box}
    people = [person(number, *([camera(f"C{number}")] if box else [])) for number, box in enumerate(boxes)]
    arrangement = arrange(layout, *people)
    drawn = planes_of(Canvas(Size(1280, 720)).compose(arrangement, pictures, set(pictures), 0.0))
    reference = planes_of(frame_of(image))
    # The page has one column and one row less than the file.
    assert ssim(drawn.luma[:719, :1279], reference.luma[:719, :1279]) >= least
    for plane, other in ((drawn.blue, reference.blue), (drawn.red, reference.red)):
        difference = plane[:359, :639].astype(int) - other[:359, :639]
        assert np.abs(difference).mean() < 2.5  # its white is no grey, by two
