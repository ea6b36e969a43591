"""Egresses of a real room whose results go to real storages, with manifests beside them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import egress as pb

import pyegress
from pyegress.cli.exit_codes import ExitCode, of_result
from pyegress.clock import monotonic
from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.plan.form import EgressRequest
from pyegress.room.events import Source
from pyegress.service.config_reader import Seconds
from pyegress.service.egress_service import EgressStart
from pyegress.service.metrics import Metrics
from pyegress.service.storage_config import AzureSection, GcpSection, S3Section, StorageSection
from pyegress.storage import spool_steps
from tests.support.analysis import file_facts
from tests.support.files import files_below
from tests.support.hls import parse_playlist
from tests.support.livekit_server import LiveKitServer
from tests.support.object_servers import BUCKET, AzureServer, GcsServer, ObjectServer, S3Server, why_unavailable
from tests.support.waiting import eventually
from tests.system.scenes import access, clip, prepare, publishing, recorded
from tests.system.test_supervisor import SMALL, node

pytestmark = pytest.mark.system


def _s3(server: S3Server, **changes: Any) -> pb.S3Upload:
    arguments: dict[str, Any] = {
        "bucket": BUCKET,
        "region": server.region,
        "endpoint": server.url,
        "access_key": server.access_key,
        "secret": server.secret,
    }
    return pb.S3Upload(**(arguments | changes))


def _manifest(server: ObjectServer, key: str) -> dict[str, Any]:
    content = server.stored(key)
    assert content.endswith(b"}\n")
    manifest: dict[str, Any] = json.loads(content)
    return manifest


def _saved(server: ObjectServer, key: str, folder: Path) -> Path:
    path = folder / key.replace("/", "_")
    path.write_bytes(server.stored(key))
    return path


def _found(folder: Path, name: str = "*") -> list[Path]:
    return [path for path in files_below(folder) if path.match(name)]


async def test_every_storage(
    livekit_server: LiveKitServer,
    s3_server: S3Server,
    gcs_server: GcsServer,
    azure_server: AzureServer,
    tmp_path: Path,
) -> None:
    """Three at once: a room to S3 (of the request), a track to GCS (of the request), a participant to Azure (of the
    service), whose one file goes to the backup."""
    room = "uploaded"
    prepare("ada", clip())
    azure = azure_server.storage_at(azure_server.url)
    storage = StorageSection(
        prefix="all",
        azure=AzureSection(azure.container_name, azure.account_name, azure.account_key, azure.endpoint),
    )
    backup = StorageSection(gcp=GcpSection(BUCKET, gcs_server.storage_at(gcs_server.url).credentials), prefix="second")
    whole = pb.RoomCompositeEgressRequest(
        room_name=room,
        advanced=SMALL,
        file_outputs=[pb.EncodedFileOutput(filepath="{room_name}/all.mp4", s3=_s3(s3_server))],
        segment_outputs=[
            pb.SegmentedFileOutput(
                filename_prefix="hls/all", playlist_name="all.m3u8", segment_duration=1, s3=_s3(s3_server)
            )
        ],
        image_outputs=[pb.ImageOutput(filename_prefix="shots/all", capture_interval=1, s3=_s3(s3_server))],
    )
    one = pb.ParticipantEgressRequest(
        room_name=room,
        identity="ada",
        advanced=SMALL,
        file_outputs=[pb.EncodedFileOutput(filepath="ada.mp4")],
    )
    lost = pb.ParticipantEgressRequest(
        room_name=room,
        identity="ada",
        advanced=SMALL,
        file_outputs=[pb.EncodedFileOutput(filepath="lost.mp4", disable_manifest=True, s3=_s3(s3_server, secret="no"))],
    )
    async with (
        node(livekit_server, tmp_path, storage=storage, backup=backup) as here,
        publishing(livekit_server, room) as ada,
    ):
        microphone = ada.sids[Source.MICROPHONE]
        track = pb.TrackEgressRequest(
            room_name=room,
            track_id=microphone,
            file=pb.DirectFileOutput(
                filepath="sound/{publisher_identity}",
                gcp=pb.GCPUpload(bucket=BUCKET, credentials=gcs_server.storage_at(gcs_server.url).credentials),
            ),
        )
        requests: dict[str, EgressRequest] = {
            "EG_up_room": whole,
            "EG_up_track": track,
            "EG_up_one": one,
            "EG_up_lost": lost,
        }
        for egress_id, request in requests.items():
            await here.supervisor.start(EgressStart(egress_id, request))
        for egress_id in requests:
            await here.recorded(egress_id, 3.0)
        for egress_id in requests:
            await here.supervisor.stop(egress_id)
        infos = {egress_id: await here.ended(egress_id) for egress_id in requests}
        page = Metrics(here.supervisor).page().decode()

    assert {status_of(info) for info in infos.values()} == {EgressStatus.COMPLETE}, infos
    assert {info.details for info in infos.values()} == {"End reason: StopEgress API"}
    assert not _found(tmp_path / "files"), "nothing stays on this machine"

    info = infos["EG_up_room"]
    host = f"https://127.0.0.1:{s3_server.port}/{BUCKET}/all"
    (file,), (segments,), (images,) = info.file_results, info.segment_results, info.image_results
    assert (file.filename, file.location) == (f"{room}/all.mp4", f"{host}/{room}/all.mp4")
    assert file.size == len(s3_server.stored(f"all/{room}/all.mp4"))
    facts = file_facts(_saved(s3_server, f"all/{room}/all.mp4", tmp_path))
    assert [stream.codec for stream in facts.streams] == ["h264", "aac"]
    assert facts.duration == pytest.approx(file.duration / 1e9, abs=0.1)
    assert segments.playlist_location == f"{host}/hls/all.m3u8"
    listed = parse_playlist(s3_server.stored("all/hls/all.m3u8").decode())
    assert len(listed.segments) == segments.segment_count >= 3
    assert segments.size == sum(len(s3_server.stored(f"all/hls/{entry.uri}")) for entry in listed.segments)
    assert images.image_count >= 3
    shots = [key for key in s3_server.names() if key.startswith("all/shots/all_")]
    assert len(shots) == images.image_count
    assert all(s3_server.stored(key).startswith(b"\xff\xd8") for key in shots)
    assert info.manifest_location == f"{host}/{room}/EG_up_room.json"
    manifest = _manifest(s3_server, f"all/{room}/EG_up_room.json")
    assert (
        _manifest(s3_server, "all/hls/EG_up_room.json") == manifest == _manifest(s3_server, "all/shots/EG_up_room.json")
    )
    assert manifest["room_name"] == room
    assert manifest["status"] == "EGRESS_COMPLETE"
    assert manifest["files"][0]["location"] == file.location
    assert set(manifest["files"][0]["sources"]) == {"camera", "microphone"}
    assert manifest["playlists"][0]["location"] == segments.playlist_location
    assert [segment["location"] for segment in manifest["playlists"][0]["segments"]] == [
        f"{host}/hls/{entry.uri}" for entry in listed.segments
    ]
    assert [image["location"] for image in manifest["images"]] == [
        f"{host}/{key.removeprefix('all/')}" for key in shots
    ]
    spans = {span["source"]: span for span in manifest["timeline"]["tracks"]}
    assert {span["identity"] for span in spans.values()} == {"ada"}
    assert set(spans) == {"camera", "microphone"}
    assert 3 < spans["camera"]["ended"]["time"] < 40
    assert spans["camera"]["began"]["time"] < 2

    info = infos["EG_up_track"]
    (file,) = info.file_results
    assert file.location == f"https://{BUCKET}.storage.googleapis.com/all/sound/ada.ogg"
    facts = file_facts(_saved(gcs_server, "all/sound/ada.ogg", tmp_path))
    assert [stream.codec for stream in facts.streams] == ["opus"]
    manifest = _manifest(gcs_server, "all/sound/EG_up_track.json")
    assert (manifest["track_id"], manifest["track_kind"], manifest["track_source"], manifest["publisher_identity"]) == (
        microphone,
        "audio",
        "microphone",
        "ada",
    )

    info = infos["EG_up_one"]
    assert info.file_results[0].location.endswith(f"/{BUCKET}/all/ada.mp4")
    assert info.file_results[0].size == len(azure_server.stored("all/ada.mp4"))
    assert _manifest(azure_server, "all/EG_up_one.json")["publisher_identity"] == "ada"
    assert not info.backup_storage_used

    info = infos["EG_up_lost"]
    assert info.backup_storage_used
    assert info.file_results[0].location == f"https://{BUCKET}.storage.googleapis.com/second/lost.mp4"
    assert info.file_results[0].size == len(gcs_server.stored("second/lost.mp4"))
    manifest = _manifest(gcs_server, "second/EG_up_lost.json")
    assert manifest["backup_storage_used"]
    assert manifest["files"][0]["backup_storage_used"]

    for line in (
        f'custom_endpoint="127.0.0.1:{s3_server.port}",node_id="{here.supervisor.node_id}",status="4xx",type="video/mp4"',
        'output_type="file"} 1.0',
        "livekit_egress_pipline_upload_response_time_ms_bucket{",
    ):
        assert line in page, page
    text = page + "".join(str(told) for infos_ in here.told.values() for told in infos_)
    for secret in (s3_server.secret, azure.account_key):
        assert secret not in text


async def test_a_storage_that_refuses_everything(
    livekit_server: LiveKitServer, s3_server: S3Server, tmp_path: Path
) -> None:
    """The egress fails and says why; what was recorded is on this machine and plays."""
    room = "refused"
    prepare("ada", clip())
    storage = StorageSection(
        s3=S3Section("nowhere", s3_server.access_key, s3_server.secret, region=s3_server.region, endpoint=s3_server.url)
    )
    request = pb.RoomCompositeEgressRequest(
        room_name=room, advanced=SMALL, file_outputs=[pb.EncodedFileOutput(filepath="kept.mp4")]
    )
    async with (
        node(livekit_server, tmp_path, storage=replace(storage)) as here,
        publishing(livekit_server, room),
    ):
        await here.supervisor.start(EgressStart("EG_kept", request))
        await here.recorded("EG_kept", 2.0)
        await here.supervisor.stop("EG_kept")
        info = await here.ended("EG_kept")
    assert status_of(info) is EgressStatus.FAILED
    assert info.error_code == 400
    assert "S3 upload failed: bucket nowhere does not exist (HTTP 404 NoSuchBucket)" in info.error
    (kept,) = _found(tmp_path, "kept.mp4")
    assert str(kept) in info.error
    facts = file_facts(kept)
    assert facts.duration is not None
    assert facts.duration > 1.5


async def test_a_storage_that_is_away_when_the_service_ends(
    livekit_server: LiveKitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service waits for nothing that is in vain, and kills nobody; the next one delivers, and tells it."""
    if reason := why_unavailable():
        pytest.skip(reason)
    monkeypatch.setattr(spool_steps, "FIRST_RETRY", 0.5)
    room, egress_id = "away", "EG_away"
    prepare("ada", clip())
    with S3Server(tmp_path / "s3") as s3:
        request = pb.RoomCompositeEgressRequest(
            room_name=room, advanced=SMALL, file_outputs=[pb.EncodedFileOutput(filepath="away.mp4")]
        )
        storage = StorageSection(
            s3=S3Section(BUCKET, s3.access_key, s3.secret, region=s3.region, endpoint=s3.url, max_retries=1)
        )
        async with (
            node(livekit_server, tmp_path, storage=storage, kill_grace=Seconds(100.0)) as here,
            publishing(livekit_server, room),
        ):
            await here.supervisor.start(EgressStart(egress_id, request))
            await here.recorded(egress_id, 3.0)
            await asyncio.to_thread(s3.kill)
            await here.supervisor.stop(egress_id)
            await eventually(
                lambda: "upload failed" in here.last(egress_id).details, f"{here.last(egress_id).details}", 60.0
            )
            began = monotonic()
            here.supervisor.end_now()
            await eventually(lambda: not here.supervisor.runs, "it runs no more", 70.0)
            assert monotonic() - began < 70.0
            info = here.last(egress_id)
        assert status_of(info) is EgressStatus.ENDING
        assert info.details.startswith("End reason: StopEgress API; not delivered yet: S3 upload failed: ")
        assert info.details.endswith(
            f"it is kept in the spool ({tmp_path / 'state' / 'spool' / egress_id}) and tried again"
        )
        assert not [record for record in caplog.records if "is killed" in record.message]
        await asyncio.to_thread(s3.start)
        async with node(livekit_server, tmp_path, storage=storage) as later:
            info = await later.ended(egress_id, 60.0)
        path = _saved(s3, "away.mp4", tmp_path)
    assert status_of(info) is EgressStatus.COMPLETE
    assert info.details == "End reason: StopEgress API"
    (file,) = info.file_results
    assert file.location == f"https://127.0.0.1:{s3.port}/{BUCKET}/away.mp4"
    assert file.size == path.stat().st_size
    facts = file_facts(path)
    assert [stream.codec for stream in facts.streams] == ["h264", "aac"]
    assert (facts.duration or 0.0) > 2.0
    assert not _found(tmp_path / "state" / "spool")


async def test_in_the_foreground(
    livekit_server: LiveKitServer,
    s3_server: S3Server,
    gcs_server: GcsServer,
    azure_server: AzureServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`-o s3://…` and the like: credentials from the environment, nothing left behind."""
    room = "typed"
    prepare("ada", clip())
    for name, value in {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_REGION": s3_server.region,
        "AWS_ENDPOINT_URL": s3_server.url,
        "GOOGLE_SERVICE_ACCOUNT_KEY": gcs_server.storage_at(gcs_server.url).credentials,
        "AZURE_STORAGE_ACCOUNT": azure_server.account,
        "AZURE_STORAGE_KEY": azure_server.key,
        "AZURE_STORAGE_ENDPOINT": azure_server.storage_at(azure_server.url).endpoint,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    arguments: dict[str, Any] = {"room": room, "identity": "ada", **access(livekit_server)}
    async with publishing(livekit_server, room):
        encoded = pyegress.record_participant(
            output=[f"s3://{BUCKET}/typed/ada.mp4", f"hls:az://{BUCKET}/typed/ada.m3u8?duration=1"],
            width=320,
            height=180,
            **arguments,
        )
        copied = pyegress.record_track(
            source="microphone", output=f"gs://{BUCKET}/typed/{{publisher_identity}}", **arguments
        )
        async with encoded, copied:
            await recorded(encoded, 3.0)
            await recorded(copied, 3.0)
    for result in (encoded.result, copied.result):
        result.check()
    (file,), (segments,), (sound,) = encoded.result.files, encoded.result.segments, copied.result.files
    assert file.location == f"https://127.0.0.1:{s3_server.port}/{BUCKET}/typed/ada.mp4"
    assert file.size == len(s3_server.stored("typed/ada.mp4"))
    assert file_facts(_saved(s3_server, "typed/ada.mp4", tmp_path)).duration == pytest.approx(file.duration, abs=0.1)
    listed = parse_playlist(azure_server.stored("typed/ada.m3u8").decode())
    assert len(listed.segments) == segments.segment_count >= 3
    assert segments.size == sum(len(azure_server.stored(f"typed/{entry.uri}")) for entry in listed.segments)
    assert sound.location == f"https://{BUCKET}.storage.googleapis.com/typed/ada.ogg"
    assert sound.size == len(gcs_server.stored("typed/ada.ogg"))
    assert not _found(tmp_path / "state")


async def test_a_bucket_that_is_typed_wrong(
    livekit_server: LiveKitServer, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording is kept in a folder of the user, and the error says where."""
    room = "mistyped"
    prepare("ada", clip())
    for name, value in {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_REGION": s3_server.region,
        "AWS_ENDPOINT_URL": s3_server.url,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    async with publishing(livekit_server, room):
        recording = pyegress.record_track(
            room=room, identity="ada", source="camera", output="s3://nowhere/ada", **access(livekit_server)
        )
        async with recording:
            await recorded(recording, 2.0)
    error = recording.result.error
    assert error is not None
    assert "bucket nowhere does not exist" in error.message
    assert of_result(recording.result) is ExitCode.OUTPUT
    (kept,) = _found(tmp_path / "state")
    assert str(kept) in error.remedy
    duration = file_facts(kept).duration
    assert duration is not None
    assert duration > 1.5


async def test_a_storage_that_is_away_at_the_end(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """It is waited for, everybody sees why, and in the end the egress is as if nothing had been."""
    if reason := why_unavailable():
        pytest.skip(reason)
    room = "away"
    prepare("ada", clip())
    with S3Server(tmp_path / "s3") as server:
        storage = StorageSection(
            s3=S3Section(BUCKET, server.access_key, server.secret, region=server.region, endpoint=server.url)
        )
        async with (
            node(livekit_server, tmp_path, storage=storage) as here,
            publishing(livekit_server, room),
        ):
            request = pb.RoomCompositeEgressRequest(
                room_name=room, advanced=SMALL, file_outputs=[pb.EncodedFileOutput(filepath="away.mp4")]
            )
            await here.supervisor.start(EgressStart("EG_away", request))
            await here.recorded("EG_away", 2.0)
            server.kill()
            await here.supervisor.stop("EG_away")
            await eventually(
                lambda: "takes no connections" in here.last("EG_away").details,
                f"word of the storage; {here.told['EG_away'][-1:]}",
                20.0,
            )
            waiting = here.last("EG_away")
            await asyncio.to_thread(server.start)
            info = await here.ended("EG_away", 60.0)
        assert status_of(waiting) is EgressStatus.ENDING
        assert waiting.details.startswith("End reason: StopEgress API; uploading 1 object, ")
        assert status_of(info) is EgressStatus.COMPLETE
        assert info.details == "End reason: StopEgress API"
        assert info.file_results[0].size == len(server.stored("away.mp4"))
        assert _manifest(server, "EG_away.json")["files"][0]["location"] == info.file_results[0].location
