"""Looking into files, and the sheet that shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyegress.demo.content import DemoPicture
from pyegress.demo.inspection import inspect, write_contact_sheet
from tests.support.encoding import write_file

pytestmark = pytest.mark.media


def test_the_contact_sheet_shows_pictures_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alice.mp4"
    write_file(path, picture=DemoPicture("alice", 1), numbers=range(60))
    found = inspect(path, samples=3)
    assert (found.pictures, found.missing, found.size) == (60, 0, (640, 360))
    assert [at for at, _ in found.samples] == pytest.approx([1 / 3, 1, 5 / 3], abs=0.04)
    write_contact_sheet([found], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image.convert("L"))
    assert sheet.shape[1] == 3 * 264 + 8
    # The second sample lies at a full second: its flash is lit, that of the first is not.
    assert sheet[8 + 20 + 10, 8 + 264 + 10] > 200
    assert sheet[8 + 20 + 10, 8 + 10] < 160
