"""Every kind of output, asked for with LiveKit's own SDKs: through livekit-server, and directly, at the same time.

Each door gets a request of the first form and one of the second, with a file, segments, images and a stream each, to
the disk and to S3; and a page. Streams are added and removed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent
from PIL import Image

from pyegress.demo.content import tone_of
from pyegress.demo.stamp import read_stamp
from tests.support.analysis import beep_onsets, check_numbers, read_packets, read_pictures, read_sound
from tests.support.hls import read_playlist, whole
from tests.support.object_servers import BUCKET, S3Server
from tests.support.page_server import PageServer
from tests.support.rtmp_server import RtmpServer, why_unavailable
from tests.support.sdks import Sdk
from tests.support.serving import serving, until_nothing_runs
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.webhook_inbox import WebhookInbox
from tests.support.webhook_receiver import receiving
from tests.system.compositions import mostly
from tests.system.scenes import clip, counted, prepare, publishing
from tests.system.test_service_doors import LANGUAGES, SDKS
from tests.system.web_pages import needs_browser

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable()),
    needs_browser,
]

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30, key_frame_interval=2)
PAGE = pb.EncodingOptions(width=640, height=360, framerate=30)
FINISHED = pb.StreamInfo.Status.FINISHED
#: What the stamp of a page says.
PAGES_PARTICIPANT = 1
#: The newest info that a webhook told of an egress.
Newest = Callable[[str], pb.EgressInfo]


@pytest.fixture
def rtmp(tmp_path: Path) -> Iterator[RtmpServer]:
    with RtmpServer(tmp_path / "rtmp") as server:
        yield server


@dataclass(frozen=True, slots=True)
class Door:
    """One way in, and what is asked for through it. Names and stream keys begin with its name."""

    name: str
    url: str
    room: str
    page: str
    files: Path
    s3: S3Server
    rtmp: RtmpServer

    def key(self, form: str, number: int) -> str:
        return f"{self.name}{form}secretkey{number}"

    def stream(self, form: str, number: int) -> str:
        return self.rtmp.url(self.key(form, number), "recorded")

    def requests(self) -> list[pb.ParticipantEgressRequest | pb.StartEgressRequest | pb.WebEgressRequest]:
        return [self._first_form(), self._second_form(), self._page()]

    def _upload(self) -> pb.S3Upload:
        s3 = self.s3
        return pb.S3Upload(bucket=BUCKET, region=s3.region, endpoint=s3.url, access_key=s3.access_key, secret=s3.secret)

    def _first_form(self) -> pb.ParticipantEgressRequest:
        name = f"{self.name}/v1"
        return pb.ParticipantEgressRequest(
            room_name=self.room,
            identity="ada",
            advanced=SMALL,
            file_outputs=[pb.EncodedFileOutput(filepath=f"{name}.mp4", disable_manifest=True)],
            stream_outputs=[pb.StreamOutput(protocol=pb.StreamProtocol.RTMP, urls=[self.stream("v1", 1)])],
            segment_outputs=[
                pb.SegmentedFileOutput(
                    filename_prefix=f"{name}/s", playlist_name="all", segment_duration=1, s3=self._upload()
                )
            ],
            image_outputs=[pb.ImageOutput(filename_prefix=f"{name}/i", capture_interval=1, s3=self._upload())],
        )

    def _second_form(self) -> pb.StartEgressRequest:
        name = f"{self.name}/v2"
        stream = pb.StreamOutput(protocol=pb.StreamProtocol.RTMP, urls=[self.stream("v2", 1)])
        return pb.StartEgressRequest(
            room_name=self.room,
            template=pb.TemplateSource(layout="grid"),
            advanced=SMALL,
            outputs=[
                pb.Output(file=pb.FileOutput(filepath=f"{name}.mp4")),
                pb.Output(
                    segments=pb.SegmentedFileOutput(
                        filename_prefix=f"{name}/s", playlist_name="all", segment_duration=1
                    )
                ),
                pb.Output(images=pb.ImageOutput(filename_prefix=f"{name}/i", capture_interval=1)),
                pb.Output(stream=stream),
            ],
            storage=pb.StorageConfig(s3=self._upload()),
        )

    def _page(self) -> pb.WebEgressRequest:
        file = pb.EncodedFileOutput(filepath=f"{self.name}/page.mp4", disable_manifest=True)
        return pb.WebEgressRequest(url=self.page, advanced=PAGE, file_outputs=[file])

    async def drive(self, sdk: Sdk, newest: Newest) -> list[pb.EgressInfo]:
        """Start all, add a stream to each that has one and remove it again, stop all; how they ended."""
        started = await asyncio.gather(*(sdk.start(request) for request in self.requests()))
        ids = [info.egress_id for info in started]
        forms = dict(zip(ids, ("v1", "v2"), strict=False))
        await eventually(
            lambda: all(newest(egress_id).status == pb.EgressStatus.EGRESS_ACTIVE for egress_id in ids),
            f"all are active: {[newest(egress_id) for egress_id in ids]}",
            60.0,
        )
        await self._streams(newest, forms, 0)
        for egress_id, form in forms.items():
            answer = await sdk.stream(egress_id, add=[self.stream(form, 2)])
            assert len(answer.stream_results) == 2
        await self._streams(newest, forms, 1)
        await sdk.layout(ids[1], "single-speaker")
        loop = asyncio.get_running_loop()
        enough = loop.time() + 3.0
        await eventually(lambda: loop.time() > enough, "some seconds are sent", 10.0)
        for egress_id, form in forms.items():
            await sdk.stream(egress_id, remove=[self.stream(form, 2)])
        await eventually(
            lambda: all(newest(egress_id).stream_results[1].status == FINISHED for egress_id in forms),
            f"the added streams have ended: {[newest(egress_id).stream_results for egress_id in forms]}",
            30.0,
        )
        await asyncio.gather(*(sdk.stop(egress_id) for egress_id in ids))
        await eventually(
            lambda: all(newest(egress_id).ended_at for egress_id in ids),
            f"all have ended: {[newest(egress_id) for egress_id in ids]}",
            60.0,
        )
        return [(await sdk.infos(egress_id=egress_id))[0] for egress_id in ids]

    async def _streams(self, newest: Newest, forms: dict[str, str], index: int) -> None:
        def begun(egress_id: str) -> bool:
            streams = newest(egress_id).stream_results
            return len(streams) > index and streams[index].started_at > 0

        await eventually(
            lambda: all(map(begun, forms)),
            f"stream {index} of each is sent: {[newest(egress_id).stream_results for egress_id in forms]}",
            30.0,
        )

    def check(self, infos: Sequence[pb.EgressInfo], folder: Path) -> None:
        """What each egress made is where its info says, and shows ada; the page shows what it draws."""
        first, second, page = infos
        for info in infos:
            assert pb.EgressStatus.Name(info.status) == "EGRESS_COMPLETE", info
            assert info.details == "End reason: StopEgress API"
        stored = self.s3.root / BUCKET
        at_s3 = f"https://127.0.0.1:{self.s3.port}/{BUCKET}/{self.name}"
        local = self.files / self.name
        assert first.file_results[0].location == str(local / "v1.mp4")
        assert second.file_results[0].location == f"{at_s3}/v2.mp4"
        for form, info, file in (("v1", first, local / "v1.mp4"), ("v2", second, stored / self.name / "v2.mp4")):
            assert info.file_results[0].size == file.stat().st_size
            check_pictures(file)
            onsets = beep_onsets(read_sound(file), tone_of(3))
            assert len(onsets) >= 2, onsets
            (segments,), (images,) = info.segment_results, info.image_results
            assert segments.playlist_location == f"{at_s3}/{form}/all.m3u8"
            playlist = read_playlist(stored / self.name / form / "all.m3u8")
            assert playlist.ended
            assert segments.segment_count == len(playlist.segments) >= 3
            check_pictures(whole(stored / self.name / form / "all.m3u8", folder / f"{self.name}-{form}.ts"))
            shots = sorted((stored / self.name / form).glob("i_*"))
            assert images.image_count == len(shots) >= 3
            assert shows(shots[-1]) == 3
            kept, removed = info.stream_results
            assert {kept.status, removed.status} == {FINISHED}
            assert removed.ended_at < kept.ended_at
            for number in (1, 2):
                (sent,) = self.rtmp.recordings(self.key(form, number))
                assert read_packets(sent, "video")[0].keyframe
                check_pictures(sent)
        assert not list(local.glob("v2*")), "what is uploaded does not stay here"
        check_pictures(Path(page.file_results[0].location), PAGES_PARTICIPANT)


def check_pictures(path: Path, participant: int = 3) -> None:
    """There are some, of this participant, in order."""
    pictures = [picture for picture in read_pictures(path) if picture.number is not None]
    assert len(pictures) >= 30, f"{path}: {len(pictures)}"
    assert mostly([picture.participant == participant for picture in pictures])
    numbers = counted(pictures) if participant == 3 else [picture.number or 0 for picture in pictures]
    assert check_numbers(numbers).reordered == ()


def shows(path: Path) -> int | None:
    """The participant in an image."""
    stamp = read_stamp(np.asarray(Image.open(path).convert("L"), np.uint8))
    return stamp.participant if stamp else None


def newest_of(events: list[WebhookEvent]) -> Newest:
    """By the webhooks of one receiver, which grow."""

    def newest(egress_id: str) -> pb.EgressInfo:
        told = [event.egress_info for event in events if event.egress_info.egress_id == egress_id]
        return told[-1] if told else pb.EgressInfo()

    return newest


@pytest.mark.alone
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_kind_of_output(
    stack: Stack, s3_server: S3Server, rtmp: RtmpServer, tmp_path: Path, language: str
) -> None:
    server, room = stack.server, f"outputs-{language}"
    prepare("ada", clip())
    async with AsyncExitStack() as exits:
        inbox = await exits.enter_async_context(WebhookInbox(server.api_key, server.api_secret, stack.inbox_port))
        direct = await exits.enter_async_context(receiving({server.api_key: server.api_secret}))
        pages = await exits.enter_async_context(PageServer())
        service = await exits.enter_async_context(
            serving(
                *(tmp_path / "node", server, stack.redis),
                http=True,
                webhooks={"urls": [direct.url]},
            )
        )
        await exits.enter_async_context(publishing(server, room))

        async def through(door: Door, events: list[WebhookEvent]) -> list[pb.EgressInfo]:
            async with SDKS[language](door.url, server.api_key, server.api_secret) as sdk:
                return await door.drive(sdk, newest_of(events))

        doors = [
            Door(f"{language}{name}", url, room, pages.url("/frames"), service.files, s3_server, rtmp)
            for name, url in (("redis", server.http_url), ("http", service.http_url))
        ]
        events = inbox.events, direct.events
        made = await asyncio.gather(*(through(door, told) for door, told in zip(doors, events, strict=True)))
        await until_nothing_runs(service)
        told = "".join(str(event) for event in (*inbox.events, *direct.events))
    for door, infos in zip(doors, made, strict=True):
        door.check(infos, tmp_path)
        for secret in (s3_server.secret, s3_server.access_key, "secretkey"):
            assert secret not in told + service.log
