from __future__ import annotations

import os
import random
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pyegress.clock import Wall
from pyegress.lifecycle.json_lines import decode, encode
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.storage.journal import Journal, read_journal
from pyegress.storage.journal_entries import (
    ENTRIES,
    Acknowledged,
    Attempted,
    Begun,
    Delivered,
    Entry,
    Finished,
    Moved,
    ObjectKey,
    Parted,
    Planned,
    Record,
    Refused,
    Seen,
    SpoolState,
    Told,
    Withdrawn,
    read_entries,
)
from pyegress.storage.objects import ObjectKind

pytestmark = pytest.mark.unit

FILE, IMAGE = ObjectKey(0, "talk.mp4"), ObjectKey(1, "talk_00001.jpeg")
LIFE: tuple[Entry, ...] = (
    Moved(Wall(1.0), SpoolState.RECORDING),
    Planned(Wall(1.0), FILE, "media/0/talk.mp4"),
    Begun(Wall(2.0), Wall(1.5)),
    Planned(Wall(3.0), IMAGE, "/pictures/talk_00001.jpeg"),
    Finished(Wall(3.0), IMAGE, ObjectKind.IMAGE, 10, "sha256:00"),
    Moved(Wall(4.0), SpoolState.FINISHING, "StopEgress API"),
    Finished(Wall(5.0), FILE, ObjectKind.FILE, 1000, "sha256:11", duration=2.5),
    Moved(Wall(5.0), SpoolState.UPLOADING),
    Delivered(Wall(6.0), IMAGE, "https://b/talk_00001.jpeg"),
    Refused(Wall(7.0), FILE, "S3 upload failed: no answer", retryable=True),
    Attempted(Wall(7.0), "S3 does not answer", retryable=True),
    Delivered(Wall(8.0), FILE, "https://b/talk.mp4", backup=True),
    Moved(Wall(8.0), SpoolState.DONE),
    Told(Wall(8.0), b"info"),
    Acknowledged(Wall(9.0)),
)


def test_a_life(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for entry in LIFE[:5]:
        journal.append(entry)
    begun = read_journal(path)
    assert begun.state is SpoolState.RECORDING
    file, image = begun.objects.values()
    assert (file.key, file.finished, file.kind, begun.zero) == (FILE, False, None, 1.5)
    assert (image.kind, image.finished, image.size, image.delivered) == (ObjectKind.IMAGE, True, 10, False)
    assert begun.waiting == (file, image)
    journal.append(*LIFE[5:11])
    failed = read_journal(path)
    assert (failed.state, failed.end_reason) == (SpoolState.UPLOADING, "StopEgress API")
    assert [item.reason for item in failed.waiting] == ["S3 upload failed: no answer"]
    assert (failed.attempts, failed.reason, failed.attempted_at) == (1, "S3 does not answer", 7.0)
    journal.append(*LIFE[11:])
    journal.close()
    journal.close()
    over = read_journal(path)
    assert over == read_entries(LIFE)
    assert (over.state, over.attempts, over.told, over.acknowledged) == (SpoolState.DONE, 0, b"info", True)
    assert over.at == 9.0
    assert over.waiting == ()
    file = over.objects[FILE]
    assert (file.location, file.backup, file.duration, file.reason) == ("https://b/talk.mp4", True, 2.5, "")
    assert over.entered == {
        SpoolState.RECORDING: 1.0,
        SpoolState.FINISHING: 4.0,
        SpoolState.UPLOADING: 5.0,
        SpoolState.DONE: 8.0,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_tracks_and_uploads_as_they_were_last() -> None:
    track = TrackSpan("TR_1", "ada", "Ada", "video", "camera", "VP8", Span(Wall(1.6)))
    over = replace(track, span=Span(Wall(1.6), Wall(9.0)), muted=(Span(Wall(3.0), Wall(4.0)),))
    other = replace(track, track_id="TR_2")
    seen = [Seen(Wall(2.0), 0, track), Seen(Wall(3.0), 1, other), Seen(Wall(9.0), 0, over)]
    parted = Parted(Wall(4.0), FILE, "upload-1", 8 << 20)
    record = read_entries([*LIFE[:5], *seen, parted, Begun(Wall(5.0), Wall(1.25)), *LIFE[5:7]])
    assert record.tracks == {0: over, 1: other}
    assert record.zero == 1.25
    file = record.objects[FILE]
    assert (file.parted, file.planned, file.finished) == (parted, 1.0, True)
    assert decode(encode(seen[2]), *ENTRIES) == seen[2]
    assert decode(encode(parted), *ENTRIES) == parted


def test_what_is_written_anew_is_not_finished_any_more() -> None:
    again = [*LIFE[:12], Planned(Wall(20.0), FILE, "media/0/talk.mp4")]
    assert [item.key for item in read_entries(again).waiting] == [FILE]
    other = [*LIFE[:12], Finished(Wall(20.0), FILE, ObjectKind.FILE, 1200, "sha256:22")]
    assert [item.size for item in read_entries(other).waiting] == [1200], "the destination has the old bytes"
    same = [*LIFE[:12], Finished(Wall(20.0), FILE, ObjectKind.FILE, 1000, "sha256:11")]
    assert read_entries(same).waiting == ()
    assert list(read_entries([*LIFE, Withdrawn(Wall(20.0), FILE)]).objects) == [IMAGE]


def test_entries_about_nothing_are_passed_over() -> None:
    strange = (Delivered(Wall(1.0), FILE, "x"), Withdrawn(Wall(2.0), IMAGE))
    assert read_entries(strange) == Record(at=Wall(2.0))


@pytest.mark.parametrize("seed", range(8))
def test_torn_anywhere_and_gone_on(tmp_path: Path, seed: int) -> None:
    """A crash leaves a part of a line; the next process goes on behind it, and every whole line counts."""
    chance = random.Random(seed)
    path = tmp_path / "journal.jsonl"
    whole: list[Entry] = []
    left = list(LIFE)
    while left:
        count = chance.randint(1, 4)
        journal = Journal(path)
        journal.append(*left[:count])
        journal.sync()
        journal.close()
        whole += left[:count]
        del left[:count]
        assert read_journal(path) == read_entries(whole)
        if left:
            before = path.stat().st_size
            journal = Journal(path)
            journal.append(left[0])
            journal.close()
            os.truncate(path, chance.randint(before + 1, path.stat().st_size - 2))
            assert read_journal(path) == read_entries(whole)


def test_a_journal_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none") == Record()


def test_what_is_told_has_no_repr() -> None:
    assert "info" not in repr(Told(Wall(1.0), b"secret")).partition("(")[2]
    assert "secret" not in repr(read_entries([Told(Wall(1.0), b"secret")]))
