"""What a killed composition had received is rendered by another process, from its folder alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from livekit.protocol import egress as pb
from PIL import Image

from pyegress.clock import Monotonic, Wall, wall
from pyegress.codecs import Codec
from pyegress.demo.content import tone_of
from pyegress.lifecycle.json_lines import encode
from pyegress.lifecycle.outcome import Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.worker_messages import Launch
from pyegress.media.director import CandidateChanged
from pyegress.media.engine_messages import Begin
from pyegress.plan.build import plan_recording
from pyegress.plan.egress_info import starting_info
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import Service
from pyegress.plan.storage import LocalStorage
from pyegress.storage.journal_entries import Finished, ObjectKey, SpoolState
from pyegress.storage.objects import ObjectKind
from pyegress.storage.spool import Spool, SpoolFolder
from pyegress.storage.spooled_plan import SpooledPlan
from pyegress.worker.assignment import finish_launch
from pyegress.worker.delivery import InPlace
from pyegress.worker.progress import Progress
from pyegress.worker.received import Entry, Opened, Staged
from pyegress.worker.spooled import Spooled
from tests.media.published import DELAY, NOON, beeps, pictures, sent
from tests.outputs.media import write_left
from tests.plan.requests import participant, planned
from tests.support.analysis import beep_onsets, file_facts, numbers_of, read_pictures, read_sound
from tests.support.hls import read_playlist

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]

#: The monotonic clock of the killed process at second 0, far from ours, and seconds that it received.
BEGUN, SECONDS = Monotonic(5e6), 4
KILLED = b"what the killed process had of it"


def received(codec: Codec = Codec.VP8, *, until: float = float("inf")) -> list[Entry]:
    """Everything that a recording of one participant hears, whose camera has this codec; `until` that second."""
    messages = [*sent("alice-v", pictures(codec), BEGUN), *sent("alice-a", beeps(), BEGUN)]
    return [
        Opened("standup", "RM_1", "alice", NOON - BEGUN),
        Staged(BEGUN, CandidateChanged("alice-v", "alice", 0)),
        *(message for at, message in sorted(messages, key=lambda entry: entry[0]) if at < until),
    ]


def killed(tmp_path: Path, request: EgressRequest, entries: Sequence[Entry]) -> tuple[Launch, SpoolFolder]:
    """What a worker leaves that was killed while its recording waited for sender reports."""
    launch = Launch(
        egress_id="EG_1",
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(),
        info=starting_info(planned(request, egress_id="EG_1"), request).SerializeToString(),
        at=Wall(NOON - 5.0),
        service=Service(ws_url="ws://h", api_key="k", api_secret="s"),
        directory=str(tmp_path / "files"),
        spool=str(tmp_path / "spool" / "EG_1"),
    )
    folder = Spool(tmp_path / "spool").create(SpooledPlan.of(launch))
    folder.received.write_bytes(b"".join(map(encode, entries)) + b'{"is":"Frame","tra')
    return launch, folder


async def begun(launch: Launch, folder: SpoolFolder, *names: str) -> None:
    """... and whose files had been begun."""
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    async with Spooled(folder) as spooled:
        delivery = spooled.journalled(InPlace(launch.directory), plan)
        spooled.move(SpoolState.RECORDING)
        spooled.follow(Progress(RecordingState.ACTIVE, 2.0, 0, started_at=Wall(NOON + 0.3)))
        for name in names:
            path = delivery.place(name, LocalStorage())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(KILLED)


async def finished(launch: Launch, folder: SpoolFolder) -> Outcome:
    async with Spooled(folder) as spooled:
        return await spooled.settle(await finish_launch(launch, spooled))


async def test_everything_that_was_received_is_in_the_outputs(tmp_path: Path) -> None:
    small = pb.EncodingOptions(width=320, height=180, framerate=30, key_frame_interval=1)
    request = participant(pb.EncodedFileOutput(filepath="{room_name}/talk.mp4"), advanced=small)
    request.segment_outputs.add(filename_prefix="hls/talk", segment_duration=1)
    request.image_outputs.add(filename_prefix="shots/talk", capture_interval=2)
    launch, folder = killed(tmp_path, request, received())
    await begun(launch, folder, "standup/talk.mp4")
    outcome = await finished(launch, folder)
    assert (outcome.reason, outcome.error, outcome.pending) == (EndReason.PROCESS_KILLED, None, "")
    (file,) = outcome.files
    path = tmp_path / "files" / "standup" / "talk.mp4"
    assert (file.location, file.size) == (str(path), path.stat().st_size)
    assert file.started_at == pytest.approx(NOON + DELAY, abs=0.01)
    numbers = numbers_of(read_pictures(path))
    # Numbers are those of the clip: its loop begins anew.
    assert len(numbers) == SECONDS * 30
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)
    sound = read_sound(path)
    assert beep_onsets(sound, tone_of(3)) == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.02)
    (segments,) = outcome.segments
    playlist = read_playlist(tmp_path / "files" / "hls" / "talk.m3u8")
    assert (len(playlist.segments), playlist.ended) == (SECONDS, True)
    assert segments.segment_count == SECONDS
    whole = [tmp_path / "files" / "hls" / segment.uri for segment in playlist.segments]
    assert [number for segment in whole for number in numbers_of(read_pictures(segment))] == numbers
    (shots,) = outcome.images
    assert shots.image_count == 2
    with Image.open(tmp_path / "files" / "shots" / "talk_00001.jpeg") as image:
        assert image.size == (320, 180)
    assert sorted(one.name for one in folder.path.iterdir() if one.name in ("received.jsonl", "again")) == []
    before = path.read_bytes()
    assert (await finished(launch, folder)).files == outcome.files, "once more, although all is done"
    assert path.read_bytes() == before


async def test_copies_are_put_into_segments_again(tmp_path: Path) -> None:
    """A file of copies waits for nothing, and is finished as it is."""
    request = participant(pb.EncodedFileOutput(filepath="talk.mp4"), preset=pb.EncodingOptionsPreset.PASSTHROUGH)
    request.segment_outputs.add(filename_prefix="hls/talk", segment_duration=1)
    launch, folder = killed(tmp_path, request, received(Codec.H264))
    await begun(launch, folder)
    outcome = await finished(launch, folder)
    assert (outcome.error, outcome.files) == (None, ())
    playlist = read_playlist(tmp_path / "files" / "hls" / "talk.m3u8")
    whole = [tmp_path / "files" / "hls" / segment.uri for segment in playlist.segments]
    assert [number for segment in whole for number in numbers_of(read_pictures(segment))] == list(range(SECONDS * 30))
    assert playlist.ended


async def test_sound_alone_before_any_report(tmp_path: Path) -> None:
    """Killed before the file had a name."""
    entries = [entry for entry in received(until=0.45) if "alice-v" not in str(entry)]
    request = pb.RoomCompositeEgressRequest(
        room_name="standup", audio_only=True, file_outputs=[pb.EncodedFileOutput(filepath="talk.ogg")]
    )
    launch, folder = killed(tmp_path, request, entries)
    outcome = await finished(launch, folder)
    (file,) = outcome.files
    assert file.duration == pytest.approx(0.46, abs=0.05)
    assert file_facts(Path(file.location)).duration == pytest.approx(file.duration, abs=0.02)


async def test_what_cannot_be_rendered_leaves_what_was_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A frame of a track of which nothing was heard: a defect, of the log or of us."""
    entries = [entry for entry in received() if not isinstance(entry, Begin)]
    launch, folder = killed(tmp_path, participant(pb.EncodedFileOutput(filepath="talk.webm")), entries)
    await begun(launch, folder, "talk.webm")
    write_left(tmp_path / "files" / "talk.webm", seconds=3.0)
    with caplog.at_level(logging.ERROR):
        (file,) = (await finished(launch, folder)).files
    assert file.duration == pytest.approx(3.0, abs=0.05)
    assert any("is not rendered" in message for message in caplog.messages)
    assert not folder.again.path.exists()


async def test_a_file_that_is_whole_is_not_made_again(tmp_path: Path) -> None:
    launch, folder = killed(tmp_path, participant(pb.EncodedFileOutput(filepath="talk.mp4")), received())
    await begun(launch, folder, "talk.mp4")
    async with Spooled(folder) as spooled:
        key = ObjectKey(0, "talk.mp4")
        spooled.append(Finished(wall(), key, ObjectKind.FILE, len(KILLED), "sum", 3.5))
    await finished(launch, folder)
    assert (tmp_path / "files" / "talk.mp4").read_bytes() == KILLED
    assert not folder.received.exists()
