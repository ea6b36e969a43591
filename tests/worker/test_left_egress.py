"""An egress whose worker is gone is brought to its end by another one, from its folder alone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from livekit.protocol import egress as pb
from PIL import Image

from pyegress.clock import Wall
from pyegress.errors import Code, EgressError, OutputFailed
from pyegress.lifecycle.outcome import Failure, Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.lifecycle.worker_messages import Launch
from pyegress.outputs.left_file import checksum_of
from pyegress.outputs.written import Written
from pyegress.plan.build import plan_recording
from pyegress.plan.egress_info import starting_info
from pyegress.plan.recording_plan import ImageOutput, Service
from pyegress.plan.segment_names import image_name
from pyegress.plan.storage import LocalStorage, Storage
from pyegress.storage.journal_entries import ObjectKey, SpoolState
from pyegress.storage.objects import ObjectKind
from pyegress.storage.parted import LeftUpload
from pyegress.storage.spool import Spool, SpoolFolder
from pyegress.storage.spooled_plan import SpooledPlan
from pyegress.worker.assignment import finish_launch
from pyegress.worker.delivery import Delivered, InPlace, OnBegun
from pyegress.worker.left_egress import LeftEgress
from pyegress.worker.progress import Progress
from pyegress.worker.spooled import Spooled
from tests.outputs.media import write_left
from tests.plan.requests import planned, room

pytestmark = pytest.mark.media

SECONDS = 3.0
TRACK = TrackSpan("TR_1", "ada", "Ada", "video", "camera", "VP8", Span(Wall(1.7e9 + 0.5)))
MUTED = replace(TRACK, muted=(Span(Wall(1.7e9 + 1.25)),))


def launched(tmp_path: Path, *names: str, egress_id: str = "EG_1") -> Launch:
    request = room(pb.EncodedFileOutput(filepath=names[0]))
    if len(names) > 1:
        request.segment_outputs.add(filename_prefix=names[1], segment_duration=2)
    return Launch(
        egress_id=egress_id,
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(),
        info=starting_info(planned(request, egress_id=egress_id), request).SerializeToString(),
        at=Wall(1.7e9),
        service=Service(ws_url="ws://h", api_key="k", api_secret="s"),
        directory=str(tmp_path / "files"),
        spool=str(tmp_path / "spool" / egress_id),
    )


def created(tmp_path: Path, launch: Launch) -> SpoolFolder:
    return Spool(tmp_path / "spool").create(SpooledPlan.of(launch))


async def recorded(launch: Launch, folder: SpoolFolder) -> Path:
    """What a worker leaves that is killed while it records."""
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    async with Spooled(folder) as spooled:
        delivery = spooled.journalled(InPlace(launch.directory), plan)
        spooled.move(SpoolState.RECORDING)
        path = delivery.place("talk.webm", LocalStorage())
        spooled.follow(Progress(RecordingState.ACTIVE, 2.0, 0))
        spooled.follow(Progress(RecordingState.ACTIVE, 2.5, 0, started_at=Wall(1.7e9), spans=(TRACK,)))
        spooled.follow(Progress(RecordingState.ACTIVE, 2.6, 0, started_at=Wall(1.7e9), spans=(MUTED,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_left(path, seconds=SECONDS)
    return path


async def resumed(launch: Launch, folder: SpoolFolder) -> Outcome:
    async with Spooled(folder) as spooled:
        return await spooled.settle(await finish_launch(launch, spooled))


async def test_from_its_folder_alone(tmp_path: Path) -> None:
    launch = launched(tmp_path, "talk.webm")
    folder = created(tmp_path, launch)
    path = await recorded(launch, folder)
    outcome = await resumed(launch, folder)
    (file,) = outcome.files
    assert (file.filename, file.location, file.size) == ("talk.webm", str(path), path.stat().st_size)
    assert file.duration == pytest.approx(SECONDS, abs=0.05)
    assert file.started_at == 1.7e9
    assert (outcome.reason, outcome.error, outcome.pending) == (EndReason.PROCESS_KILLED, None, "")
    record = folder.record()
    assert record.state is SpoolState.DONE
    item, manifest = record.objects.values()
    assert (item.checksum, item.location) == (checksum_of(path), str(path))
    told = json.loads(path.with_name("EG_1.json").read_text())
    assert (outcome.manifest_location, manifest.key.name) == (str(path.with_name("EG_1.json")), "EG_1.json")
    assert (told["status"], told["room_name"]) == ("EGRESS_COMPLETE", "standup")
    of_ada = {"identity": "ada", "track_ids": ["TR_1"], "sources": ["camera"]}
    whole = {"filename": "talk.webm", "location": str(path), "start": 0.0, "duration": SECONDS}
    assert told["files"] == [whole | of_ada]
    assert told["timeline"] == {
        "started_at": 1_700_000_000_000_000_000,
        "tracks": [
            {
                "track_id": "TR_1",
                "identity": "ada",
                "name": "Ada",
                "kind": "video",
                "source": "camera",
                "codec": "VP8",
                "began": {"at": 1_700_000_000_500_000_000, "time": 0.5},
                "muted": [{"began": {"at": 1_700_000_001_250_000_000, "time": 1.25}}],
            }
        ],
    }
    again = await resumed(launch, folder)
    assert again.files == outcome.files, "once more, although all is done"


async def test_nothing_was_recorded(tmp_path: Path) -> None:
    launch = launched(tmp_path, "talk.webm")
    folder = created(tmp_path, launch)
    path = await recorded(launch, folder)
    path.write_bytes(b"")
    outcome = await resumed(launch, folder)
    assert not outcome.made
    assert folder.record().state is SpoolState.DONE
    assert not path.exists()
    empty = created(tmp_path, other := launched(tmp_path, "other.webm", egress_id="EG_2"))
    assert not (await resumed(other, empty)).made, "not even its worker was launched"


@dataclass
class Refusing:
    """A delivery to a storage that does not answer, or only now and then."""

    folder: Path
    error: EgressError | None
    delivered: list[Path] = field(default_factory=list)

    def place(self, name: str, storage: Storage) -> Path:
        return self.folder / name

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        pass

    def left(self, path: Path, left: LeftUpload) -> None:
        pass

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        done: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        if self.error is not None:
            done.set_exception(self.error)
        else:
            self.delivered.append(path)
            done.set_result(Delivered(path.name, f"https://bucket/{path.name}", path.stat().st_size))
        return done

    def release(self, path: Path) -> None:
        """Nothing is kept."""

    async def aclose(self) -> None:
        """Nothing is under way."""


async def deliver(launch: Launch, folder: SpoolFolder, refusing: Refusing) -> Outcome:
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    async with Spooled(folder) as spooled:
        delivery = spooled.journalled(refusing, plan, await spooled.record())
        return await spooled.settle(await LeftEgress(spooled, plan, delivery).finish())


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_storage_that_refuses_keeps_it_in_the_spool(tmp_path: Path, retryable: bool) -> None:
    launch = launched(tmp_path, "talk.webm")
    folder = created(tmp_path, launch)
    path = await recorded(launch, folder)
    error = OutputFailed("S3 upload failed: no answer", retryable=retryable)
    refusing = Refusing(path.parent, error)
    outcome = await deliver(launch, folder, refusing)
    record = folder.record()
    assert (record.state, record.attempts, record.retryable) == (SpoolState.UPLOADING, 1, retryable)
    assert record.reason == "S3 upload failed: no answer"
    assert [item.reason for item in record.waiting] == [record.reason]
    if retryable:
        assert (outcome.error, outcome.pending) == (None, record.reason)
    else:
        assert outcome.error == Failure(Code.INVALID_ARGUMENT, record.reason)
        assert outcome.pending == ""
    assert path.exists()
    refusing.error = None
    late = await deliver(launch, folder, refusing)
    both = [path, path.with_name("EG_1.json")]
    assert refusing.delivered == both
    assert late.files[0].location == "https://bucket/talk.webm"
    assert late.files[0].duration == pytest.approx(SECONDS, abs=0.05)
    assert folder.record().state is SpoolState.DONE
    await deliver(launch, folder, refusing)
    assert refusing.delivered == both, "no object is delivered twice"


async def test_segments_and_playlist(tmp_path: Path) -> None:
    """Only what is there is delivered, the playlist last, with the segment that was being written."""
    launch = launched(tmp_path, "talk.webm", "hls/talk")
    folder = created(tmp_path, launch)
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    storage = LocalStorage()
    async with Spooled(folder) as spooled:
        delivery = spooled.journalled(InPlace(launch.directory), plan)
        spooled.move(SpoolState.RECORDING)
        playlist = delivery.place("hls/talk.m3u8", storage)
        segments = [delivery.place(f"hls/talk_{number:05d}.ts", storage) for number in range(4)]
        playlist.parent.mkdir(parents=True)
        for number, segment in enumerate(segments[:3]):
            segment.write_bytes(transport_stream(number))
        segments[2].write_bytes(segments[2].read_bytes()[:-100])
        await delivery.deliver(segments[0], ObjectKind.SEGMENT)
        # One that was delivered already has to end all the same.
        head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-PLAYLIST-TYPE:EVENT"]
        playlist.write_text("\n".join([*head, "#EXT-X-MEDIA-SEQUENCE:0", "#EXTINF:2.0,", "talk_00000.ts", ""]))
        await delivery.deliver(playlist, ObjectKind.PLAYLIST)
    outcome = await resumed(launch, folder)
    (made,) = outcome.segments
    assert (made.playlist_name, made.segment_count) == ("hls/talk.m3u8", 3)
    assert made.playlist_location == str(playlist)
    text = playlist.read_text()
    assert text.count("#EXTINF") == 3
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert made.size == sum(segment.stat().st_size for segment in segments[:3])
    assert segments[2].stat().st_size % 188 == 0
    assert not segments[3].exists()
    assert folder.record().state is SpoolState.DONE


def transport_stream(number: int) -> bytes:
    """Some packets of one picture stream."""
    packets = b""
    for frame in range(4):
        ticks = 90_000 * (2 * number + frame)
        stamp = bytes(
            (
                0x21 | ticks >> 29 & 0x0E,
                ticks >> 22 & 0xFF,
                ticks >> 14 & 0xFE | 1,
                ticks >> 7 & 0xFF,
                ticks << 1 & 0xFE | 1,
            )
        )
        pes = b"\x00\x00\x01\xe0\x00\x00\x80\x80\x05" + stamp
        packets += b"\x47\x41\x00\x10" + pes + b"\xff" * (184 - len(pes))
    return packets


async def test_a_name_belongs_to_one_egress_until_it_has_ended(tmp_path: Path) -> None:
    """Also when its process is gone, until somebody has brought it to its end."""
    first, second = (launched(tmp_path, "talk.webm", egress_id=egress_id) for egress_id in ("EG_1", "EG_2"))
    mine, other = created(tmp_path, first), created(tmp_path, second)
    await recorded(first, mine)
    with pytest.raises(OutputFailed) as taken:
        await recorded(second, other)
    assert taken.value.code is Code.ALREADY_EXISTS
    assert "EG_1" in taken.value.message
    await resumed(first, mine)
    await recorded(second, other)
    await resumed(second, other)
    assert list((tmp_path / "spool" / ".names").iterdir()) == []


async def test_a_folder_that_another_process_works_on(tmp_path: Path) -> None:
    folder = created(tmp_path, launched(tmp_path, "talk.webm"))
    with folder.claim(), pytest.raises(EgressError, match="Another process"):
        async with Spooled(folder):
            pass
    async with Spooled(folder):
        assert folder.busy


async def test_where_media_lie_may_have_changed(tmp_path: Path) -> None:
    """A storage that is another one now gets nothing of what was recorded for the old one."""
    launch = launched(tmp_path, "talk.webm")
    folder = created(tmp_path, launch)
    path = await recorded(launch, folder)
    outcome = await deliver(launch, folder, Refusing(tmp_path / "elsewhere", None))
    assert outcome.error is not None
    assert "another one when it was recorded" in outcome.error.message
    assert path.exists()
    assert folder.record().objects[ObjectKey(0, "talk.webm")].location == ""


async def test_images_that_are_whole_are_delivered_whatever_they_are(tmp_path: Path) -> None:
    kept = launched(tmp_path, "talk.webm")
    request = kept.read_request()
    assert isinstance(request, pb.RoomCompositeEgressRequest)
    for prefix in ("shots/a", "shots/b.png", "shots/c.webp"):
        request.image_outputs.add(filename_prefix=prefix)
    launch = replace(kept, request=request.SerializeToString())
    folder = created(tmp_path, launch)
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    async with Spooled(folder) as spooled:
        delivery = spooled.journalled(InPlace(launch.directory), plan)
        spooled.move(SpoolState.RECORDING)
        for output in plan.outputs:
            if not isinstance(output, ImageOutput):
                continue
            for number in range(2):
                name = image_name(output.prefix, output.format, output.suffix, number, Wall(1.7e9))
                path = delivery.place(name, LocalStorage())
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (32, 32), "white").save(path)
    torn = tmp_path / "files" / "shots" / "a_00001.jpeg"
    torn.write_bytes(torn.read_bytes()[:-20])
    outcome = await resumed(launch, folder)
    assert [(made.filename_prefix, made.image_count) for made in outcome.images] == [
        ("shots/a", 1),
        ("shots/b", 2),
        ("shots/c", 2),
    ]
