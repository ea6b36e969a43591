"""Images as they are written and delivered: which pictures, under which names, and what is told of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from pyegress.clock import Wall
from pyegress.errors import EgressError, OutputFailed
from pyegress.lifecycle.outcome import ImagesOutcome
from pyegress.outputs.images import Shown
from pyegress.plan.recording_plan import ImageOutput, NameSuffix
from pyegress.plan.storage import LocalStorage
from pyegress.worker.delivery import Delivered, InPlace, ObjectKind
from pyegress.worker.image_sink import ImageSink
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded
from tests.media.encoding import pictures
from tests.support.waiting import eventually

pytestmark = pytest.mark.media

STARTED = Wall(1_795_000_000.25)


class Refusing(InPlace):
    """A storage that refuses or forgets."""

    def __init__(self, directory: str, *, forgets: bool = False) -> None:
        super().__init__(directory)
        self._forgets = forgets
        self.pending: list[asyncio.Future[Delivered]] = []

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        future: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        self.pending.append(future)
        if not self._forgets:
            future.set_exception(OutputFailed("the bucket is gone"))
        return future


def sink(
    tmp_path: Path,
    suffix: NameSuffix = NameSuffix.INDEX,
    *,
    interval: int = 2,
    delivery: InPlace | None = None,
    errors: list[EgressError] | None = None,
    shown: Shown | None = None,
) -> ImageSink:
    source = Source(
        kinds=frozenset(),
        spec_for=lambda first: pytest.fail("no packets"),
        started_at=lambda: STARTED,
        describe=lambda result, dropped: pytest.fail("a file"),
        request_keyframe=lambda: None,
        shown=lambda: shown,
    )
    output = ImageOutput("shots/x", suffix, interval, 0 if shown else 160, 0, LocalStorage())
    said = errors if errors is not None else []
    return ImageSink(output, source, delivery or InPlace(str(tmp_path)), on_failed=said.append)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "shots").iterdir())


async def show(images: ImageSink, times: list[float]) -> None:
    for at in times:
        images.picture(pictures(1)[0], at)
        await eventually(lambda: images.bytes_written, "an image")


async def test_one_every_interval_and_the_first_at_once(tmp_path: Path) -> None:
    images = sink(tmp_path)
    # The first one waited for a picture; some are asked for by other outputs.
    await show(images, [0.3, 1.0, 2.0, 3.0, 4.0])
    await eventually(lambda: len(names(tmp_path)) == 3, "three images")
    assert await images.finish() == Recorded(
        images=(ImagesOutcome("shots/x", 3, Wall(STARTED + 0.3), Wall(STARTED + 4.0)),)
    )
    assert names(tmp_path) == ["x_00000.jpeg", "x_00001.jpeg", "x_00002.jpeg"]
    assert await images.finish() == await images.finish()


async def test_names_by_time_and_the_same_name(tmp_path: Path) -> None:
    timed = sink(tmp_path, NameSuffix.TIMESTAMP)
    await show(timed, [0.0, 2.5])
    await timed.finish()
    assert [len(name) for name in names(tmp_path)] == [len("x_20261118110640250.jpeg")] * 2
    assert [name[-8:-5] for name in names(tmp_path)] == ["250", "750"]
    same = sink(tmp_path / "same", NameSuffix.NONE)
    await show(same, [0.0, 2.0, 4.0])
    recorded = await same.finish()
    assert recorded.images[0].image_count == 3
    assert names(tmp_path / "same") == ["x.jpeg"]


async def test_nothing_came(tmp_path: Path) -> None:
    assert await sink(tmp_path).finish() == Recorded()
    assert not (tmp_path / "shots").exists()


async def test_what_is_not_delivered_is_told_once_and_not_counted(tmp_path: Path) -> None:
    errors: list[EgressError] = []
    images = sink(tmp_path, delivery=Refusing(str(tmp_path)), errors=errors)
    images.picture(pictures(1)[0], 0.0)
    await eventually(lambda: errors, "the error")
    images.picture(pictures(1)[0], 2.0)
    recorded = await images.finish()
    assert recorded == Recorded(errors=tuple(errors))
    assert [error.message for error in errors] == ["the bucket is gone"]
    assert names(tmp_path) == ["x_00000.jpeg"]


async def test_a_storage_that_takes_too_long(tmp_path: Path) -> None:
    errors: list[EgressError] = []
    delivery = Refusing(str(tmp_path), forgets=True)
    images = sink(tmp_path, interval=3600, delivery=delivery, errors=errors)
    for number in range(5):
        images.picture(pictures(1)[0], number * 3600.0)
        await eventually(lambda n=number: len(delivery.pending) > n or errors, "a delivery")  # type: ignore[misc]
    assert "upload queue full: 4 images wait" in errors[0].message
    assert errors[0].remedy
    for future in delivery.pending:
        future.set_result(Delivered("x", "x", 1))
    assert (await images.finish()).images[0].image_count == 4


async def test_images_of_one_track_have_its_size(tmp_path: Path) -> None:
    images = sink(tmp_path, shown=Shown((400, 300), (200, 150)))
    await show(images, [0.0])
    await images.finish()
    with Image.open(tmp_path / "shots" / names(tmp_path)[0]) as image:
        assert image.size == (400, 300)
