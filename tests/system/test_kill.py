"""kill -9 at some moments of recording and finishing; `bench.kill` does it at many."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from livekit import api
from livekit.protocol import egress as pb

from pyegress.lifecycle.egress import EgressStatus
from pyegress.room.events import Source
from tests.support.livekit_server import LiveKitServer
from tests.support.object_servers import BUCKET, S3Server
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import eventually
from tests.system.killing import (
    CAUGHT_UP,
    Fate,
    KilledService,
    Victim,
    check,
    leftovers,
    outputs_request,
    s3_section,
    status_of_egress,
    survive,
)
from tests.system.scenes import clip, prepare, publishing

pytestmark = pytest.mark.system

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30)


async def test_nothing_is_lost_and_the_status_says_what_happened(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "killed"
    prepare("ada", clip())
    async with publishing(livekit_server, room) as ada, KilledService(livekit_server, tmp_path) as service:

        def composite(name: str, **fields: object) -> pb.RoomCompositeEgressRequest:
            file = pb.EncodedFileOutput(filepath=name)
            return pb.RoomCompositeEgressRequest(room_name=room, advanced=SMALL, file_outputs=[file], **fields)  # type: ignore[arg-type]

        track = pb.TrackEgressRequest(
            room_name=room, track_id=ada.sids[Source.CAMERA], file=pb.DirectFileOutput(filepath="track")
        )
        cases = await survive(
            service,
            [
                Fate(composite("powercut.mp4"), Victim.EVERYBODY, CAUGHT_UP + 0.4),
                Fate(composite("waiting.mp4"), Victim.WORKER, 1.0),
                Fate(track, Victim.EVERYBODY, 1.3),
                Fate(composite("sound.ogg", audio_only=True), Victim.WORKER, CAUGHT_UP + 0.7),
                Fate(composite("ending.mp4"), Victim.WORKER, 0.02, ending=True),
            ],
        )
        assert {case.info.egress_id: check(service, case) for case in cases} == {case.egress_id: [] for case in cases}
        assert leftovers(service, cases) == []


async def test_uploads_survive_kills_and_no_secret_is_shown(
    livekit_server: LiveKitServer, s3_server: S3Server, tmp_path: Path
) -> None:
    """What the service's storage and a request's own storage get, HLS and images too; the request's credentials are
    kept encrypted."""
    room = "killed-uploads"
    prepare("ada", clip())
    key = "the key of the spool"
    own = pb.S3Upload(
        access_key=s3_server.access_key,
        secret=s3_server.secret,
        region=s3_server.region,
        endpoint=s3_server.url,
        bucket=BUCKET,
        force_path_style=True,
    )
    async with (
        publishing(livekit_server, room) as ada,
        KilledService(livekit_server, tmp_path, s3_server, spool={"encryption_key": key}) as service,
    ):

        def track(name: str, source: Source, upload: pb.S3Upload | None = None) -> pb.TrackEgressRequest:
            file = pb.DirectFileOutput(filepath=f"killed/{name}", s3=upload)
            return pb.TrackEgressRequest(room_name=room, track_id=ada.sids[source], file=file)

        cases = await survive(
            service,
            [
                Fate(outputs_request(room, "killed/power"), Victim.EVERYBODY, CAUGHT_UP + 1.5, outputs="killed/power"),
                Fate(outputs_request(room, "killed/worker"), Victim.WORKER, 1.5, outputs="killed/worker"),
                Fate(track("powercut", Source.CAMERA), Victim.EVERYBODY, 2.0),
                Fate(track("own", Source.MICROPHONE, own), Victim.EVERYBODY, 2.0),
                Fate(track("worker", Source.CAMERA), Victim.WORKER, 2.0),
                Fate(track("ending", Source.CAMERA), Victim.WORKER, 0.03, ending=True),
            ],
        )
        assert {case.info.egress_id: check(service, case) for case in cases} == {case.egress_id: [] for case in cases}
        manifests = {f"killed/{case.egress_id}.json" for case in cases}
        left = [name for name in leftovers(service, cases) if name.startswith(("killed", "/"))]
        assert set(left) <= manifests
        secrets = {livekit_server.api_secret, s3_server.secret, s3_server.access_key, key}
        shown = "\n".join(service.evidence)
        assert "EG_" in shown
        assert [secret for secret in secrets if secret in shown] == []


async def test_a_storage_that_is_away_for_a_while(
    livekit_server: LiveKitServer, s3_server: S3Server, tmp_path: Path
) -> None:
    """Killed while its storage does not answer: the egress waits in the spool, and says why, until it does."""
    room = "killed-away"
    prepare("ada", clip())
    async with publishing(livekit_server, room) as ada, TcpProxy("127.0.0.1", s3_server.port) as proxy:
        proxy.refusing = True
        section = s3_section(s3_server) | {"endpoint": f"http://127.0.0.1:{proxy.port}"}
        service = KilledService(livekit_server, tmp_path, s3_server, storage={"s3": section})
        async with service:
            file = pb.DirectFileOutput(filepath="away/track")
            request = pb.TrackEgressRequest(room_name=room, track_id=ada.sids[Source.CAMERA], file=file)
            async with service.client as client:
                info = await client.egress.start_track_egress(request)
                await status_of_egress(client, info.egress_id, EgressStatus.ACTIVE)
                await asyncio.sleep(2.0)
                await client.egress.stop_egress(api.StopEgressRequest(egress_id=info.egress_id))
                folder = service.spool.folder(info.egress_id)
                await eventually(lambda: any(item.finished for item in folder.record().objects.values()), "finished")
            service.kill()
            assert not any(item.delivered for item in folder.record().objects.values())
            proxy.refusing = False
            await service.start()
            async with service.client as client:
                ended = await status_of_egress(client, info.egress_id, EgressStatus.COMPLETE)
        (result,) = ended.file_results
        assert result.filename == "away/track.webm"
        assert len(s3_server.stored("away/track.webm")) == result.size
