from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pyegress.demo.stamp import read_stamp
from pyegress.errors import OutputFailed
from pyegress.outputs.images import ImageWriter, Shown, fitted
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


def letterboxed(size: tuple[int, int]) -> av.VideoFrame:
    """A white picture of these proportions in the middle of 320x180, black around."""
    width, height = fitted(size, 320, 180)
    planes = np.full((180 * 3 // 2, 320), 128, np.uint8)
    planes[:180] = 16
    top, left = (180 - height) // 2, (320 - width) // 2
    planes[top : top + height, left : left + width] = 235
    return av.VideoFrame.from_ndarray(planes, "yuv420p")


@pytest.mark.parametrize(
    ("asked", "published", "picture", "size", "bars"),
    [
        # By itself the size that is published, without the bars of the output.
        ((0, 0), (640, 480), (640, 480), (640, 480), (0, 0)),
        ((0, 0), (160, 120), (160, 120), (160, 120), (0, 0)),
        ((0, 0), (180, 320), (180, 320), (180, 320), (0, 0)),
        ((0, 0), (640, 480), (0, 0), (640, 480), (0, 0)),
        # A smaller layer of the same, and pictures that are not what was announced.
        ((0, 0), (640, 480), (320, 240), (640, 480), (0, 0)),
        ((0, 0), (640, 480), (640, 360), (640, 480), (0, 60)),
        # What is asked for goes before; bars once, not twice.
        ((320, 0), (640, 480), (640, 480), (320, 240), (0, 0)),
        ((320, 320), (640, 480), (640, 480), (320, 320), (0, 40)),
    ],
)
def test_images_of_one_track(
    tmp_path: Path,
    asked: tuple[int, int],
    published: tuple[int, int],
    picture: tuple[int, int],
    size: tuple[int, int],
    bars: tuple[int, int],
) -> None:
    path = tmp_path / "x.png"
    drawn = letterboxed(picture if all(picture) else published)
    ImageWriter(ImageFormat.PNG, *asked).write(drawn, path, Shown(published, picture))
    with Image.open(path) as image:
        assert image.size == size
        grey = np.asarray(image.convert("L"), np.int16)
    left, top = bars
    inside = grey[top + 4 : size[1] - top - 4, left + 4 : size[0] - left - 4]
    assert inside.min() > 240, "white up to its edges"
    assert not top or max(grey[: top - 4].max(), grey[4 - top :].max()) < 15
