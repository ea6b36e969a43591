from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pyegress.demo.stamp import read_stamp
from pyegress.errors import OutputFailed
from pyegress.outputs.images import ImageWriter, fitted
from pyegress.plan.recording_plan import ImageFormat
from tests.media.encoding import pictures

pytestmark = pytest.mark.media


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ((0, 0), (320, 180)),
        ((160, 0), (160, 90)),
        ((0, 90), (160, 90)),
        ((160, 160), (160, 90)),
        ((640, 90), (160, 90)),
        ((640, 360), (640, 360)),
    ],
)
def test_sizes_keep_the_aspect(asked: tuple[int, int], size: tuple[int, int]) -> None:
    assert fitted((320, 180), *asked) == size


@pytest.mark.parametrize("format_", list(ImageFormat))
def test_an_image_is_the_picture(tmp_path: Path, format_: ImageFormat) -> None:
    path = tmp_path / "new" / f"x{format_.extension}"
    picture = pictures(8)[7]
    size = ImageWriter(format_, 0, 0).write(picture, path)
    assert size == path.stat().st_size
    assert list(path.parent.iterdir()) == [path]
    with Image.open(path) as image:
        assert (image.format, image.size) == (format_.name, (320, 180))
        stamp = read_stamp(np.asarray(image.convert("L"), np.uint8))
    assert stamp is not None
    assert stamp.number == 7


@pytest.mark.parametrize(("luma", "grey"), [(16, 0), (126, 128), (235, 255)])
def test_limited_range_becomes_full_range(tmp_path: Path, luma: int, grey: int) -> None:
    planes = np.full((90 * 3 // 2, 162), 128, np.uint8)
    planes[:90] = luma
    picture = av.VideoFrame.from_ndarray(planes, "yuv420p")
    ImageWriter(ImageFormat.PNG, 0, 0).write(picture, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (162, 90)
        assert np.abs(np.asarray(image, np.int16) - grey).max() <= 2


def test_both_sides_given_are_filled_up_in_black(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    ImageWriter(ImageFormat.PNG, 100, 100).write(pictures(1)[0], path)
    with Image.open(path) as image:
        shown = np.asarray(image)
    assert shown.shape == (100, 100, 3)
    assert shown[:20].max() == 0
    assert shown[-20:].max() == 0
    assert shown[30:70].max() > 100


def test_a_disk_that_refuses_is_worded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="a part of the path is no folder"):
        ImageWriter(ImageFormat.JPEG, 0, 0).write(pictures(1)[0], tmp_path / "file" / "x.jpeg")
