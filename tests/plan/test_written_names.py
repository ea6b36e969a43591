from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb

from pyegress.plan.recording_plan import Service
from pyegress.plan.storage import S3Storage, StorageDefaults
from pyegress.plan.written_names import written_names
from tests.plan.requests import SERVICE, planned, room

pytestmark = pytest.mark.unit


def names(*paths: str, service: Service = SERVICE, **outputs: object) -> set[str]:
    files = [pb.EncodedFileOutput(filepath=path) for path in paths]
    return set(written_names(planned(room(*files, **outputs), service=service).outputs))


def bucket(**fields: str) -> Service:
    storage = S3Storage(**({"bucket": "b", "access_key": "a"} | fields))  # type: ignore[arg-type]
    return replace(SERVICE, storage=StorageDefaults(storage=storage))


def test_what_two_egresses_would_both_write() -> None:
    assert names("a.mp4") == {"local:a.mp4"}
    assert names("a.mp4", service=bucket()) == names("a.mp4", service=bucket(access_key="other", secret="s"))
    assert names("a.mp4", service=bucket()) != names("a.mp4", service=bucket(bucket="c"))
    assert names("a.mp4", service=bucket()) != names("a.mp4", service=bucket(endpoint="http://other"))
    assert names("b/a.mp4", service=bucket(prefix="p")) == {"s3  b:p/b/a.mp4"}


def test_names_of_every_kind_of_output() -> None:
    hls = pb.SegmentedFileOutput(filename_prefix="h/s", playlist_name="h/p", live_playlist_name="h/l")
    image = pb.ImageOutput(filename_prefix="i/x")
    assert names(segment_outputs=[hls], image_outputs=[image]) == {
        "local:h/p.m3u8",
        "local:h/l.m3u8",
        "local:h/s",
        "local:i/x",
    }


def test_names_that_only_the_room_tells_are_left_to_the_worker() -> None:
    assert names("{room_id}/{publisher_identity}.mp4", service=SERVICE) == set()
