"""The manifest: the fields that clients know, what is empty left out, and one clock for everything."""

from __future__ import annotations

import json

import pytest

from pyegress.clock import Wall
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.outputs.manifest import (
    Manifest,
    ManifestFile,
    ManifestImage,
    ManifestPlaylist,
    ManifestSegment,
    rfc3339,
)

pytestmark = pytest.mark.unit

ZERO = Wall(1_764_000_000.25)


def test_everything() -> None:
    track = TrackSpan(
        track_id="TR_VC1",
        identity="alice",
        name="Alice",
        kind="video",
        source="camera",
        codec="VP8",
        span=Span(Wall(ZERO - 0.1), Wall(ZERO + 60)),
        muted=(Span(Wall(ZERO + 12.3456), Wall(ZERO + 15)), Span(Wall(ZERO + 50))),
    )
    manifest = Manifest(
        egress_id="EG_1",
        room_id="RM_1",
        room_name="stand-up <1> ü",
        status="EGRESS_COMPLETE",
        started_at=Wall(ZERO - 2),
        ended_at=Wall(ZERO + 61),
        zero=ZERO,
        publisher_identity="alice",
        track_id="TR_VC1",
        track_kind="video",
        track_source="camera",
        backup_used=True,
        files=(ManifestFile("a.mp4", "https://b/a.mp4", 0.0, 60.5, "alice", ("TR_VC1",), ("camera",), backup=True),),
        playlists=(ManifestPlaylist("https://b/a.m3u8", (ManifestSegment("a_0.ts", "https://b/a_0.ts"),)),),
        images=(ManifestImage("a.jpeg", "https://b/a.jpeg", ZERO),),
        tracks=(track,),
    )
    content = manifest.encode()
    assert content.endswith(b"}\n")
    assert "stand-up <1> ü".encode() in content
    assert json.loads(content) == {
        "egress_id": "EG_1",
        "room_id": "RM_1",
        "room_name": "stand-up <1> ü",
        "status": "EGRESS_COMPLETE",
        "started_at": 1_763_999_998_250_000_000,
        "ended_at": 1_764_000_061_250_000_000,
        "publisher_identity": "alice",
        "track_id": "TR_VC1",
        "track_kind": "video",
        "track_source": "camera",
        "backup_storage_used": True,
        "files": [
            {
                "filename": "a.mp4",
                "location": "https://b/a.mp4",
                "start": 0.0,
                "duration": 60.5,
                "identity": "alice",
                "track_ids": ["TR_VC1"],
                "sources": ["camera"],
                "backup_storage_used": True,
            }
        ],
        "playlists": [
            {
                "location": "https://b/a.m3u8",
                "segments": [{"filename": "a_0.ts", "location": "https://b/a_0.ts"}],
            }
        ],
        "images": [{"filename": "a.jpeg", "timestamp": "2025-11-24T16:00:00.25Z", "location": "https://b/a.jpeg"}],
        "timeline": {
            "started_at": 1_764_000_000_250_000_000,
            "tracks": [
                {
                    "track_id": "TR_VC1",
                    "identity": "alice",
                    "name": "Alice",
                    "kind": "video",
                    "source": "camera",
                    "codec": "VP8",
                    "began": {"at": 1_764_000_000_150_000_000, "time": 0.0},
                    "ended": {"at": 1_764_000_060_250_000_000, "time": 60.0},
                    "muted": [
                        {
                            "began": {"at": 1_764_000_012_595_600_000, "time": 12.346},
                            "ended": {"at": 1_764_000_015_250_000_000, "time": 15.0},
                        },
                        {"began": {"at": 1_764_000_050_250_000_000, "time": 50.0}},
                    ],
                }
            ],
        },
    }


def test_what_is_empty_is_left_out() -> None:
    assert (
        Manifest("EG_1", error="S3 upload failed").encode() == b'{"egress_id": "EG_1", "error": "S3 upload failed"}\n'
    )


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_764_000_000.5, "2025-11-24T16:00:00.5Z"),
        (1_764_000_000.000125, "2025-11-24T16:00:00.000125Z"),
    ],
)
def test_times_as_go_writes_them(at: float, text: str) -> None:
    assert rfc3339(Wall(at)) == text
