"""What callers do wrong, at a service with both doors open: the right code, nothing left running, no secret shown."""

from __future__ import annotations

import asyncio
import http.client
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from livekit.protocol import egress as pb

from pyegress.api.psrpc import definitions, wire
from pyegress.api.psrpc.bus import RedisBus
from pyegress.api.psrpc.door import SERVICE, START_EGRESS
from pyegress.api.psrpc.rpc_client import RpcClient
from pyegress.clock import Monotonic, monotonic, wall
from pyegress.room.events import Source
from tests.support.analysis import file_facts
from tests.support.object_servers import ObjectServer
from tests.support.sdks import Sdk, SdkError, python_sdk
from tests.support.serving import ServiceProcess, serving, until_nothing_runs
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Received, receiving
from tests.system.scenes import clip, prepare, publishing

pytestmark = pytest.mark.system

ROOM = "refusals"
AT_ONCE = 50
#: Never to be seen again once they were given to the service.
ACCESS_KEY, SECRET, SESSION, STREAM_KEY = (
    "AKIAREFUSALS0001",
    "s3-secret-refusals",
    "s3-session-refusals",
    "key-refusals",
)
METHODS = ("StartTrackEgress", "StartEgress", "StopEgress", "UpdateStream", "UpdateLayout", "ListEgress")


def track(sid: str, name: str) -> pb.TrackEgressRequest:
    return pb.TrackEgressRequest(room_name=ROOM, track_id=sid, file=pb.DirectFileOutput(filepath=name))


def with_secrets(sid: str, endpoint: str) -> pb.TrackEgressRequest:
    """For a storage that does not know these credentials."""
    request = track(sid, "kept.ogg")
    request.file.s3.CopyFrom(
        pb.S3Upload(
            access_key=ACCESS_KEY,
            secret=SECRET,
            session_token=SESSION,
            bucket="nowhere",
            region="none",
            endpoint=endpoint,
            force_path_style=True,
        )
    )
    return request


@dataclass(slots=True)
class Scene:
    """A service with both doors, and a microphone to record."""

    service: ServiceProcess
    redis: Sdk
    direct: Sdk
    stack: Stack
    hooks: Received
    microphone: str
    #: The URL of a real object storage.
    storage: str
    #: What must not be shown.
    secrets: list[str] = field(default_factory=list)

    def token(self, *, secret: str = "", key: str = "", expires: float = 600.0, **grants: bool) -> str:
        server = self.stack.server
        claims = {
            "iss": key or server.api_key,
            "nbf": round(wall()) - 5,
            "exp": round(wall() + expires),
            "video": grants,
        }
        made = jwt.encode(claims, secret or server.api_secret, algorithm="HS256")
        self.secrets.append(made)
        return made

    async def post(self, method: str, body: bytes | str, *, token: str = "", kind: str = "application/json") -> Any:
        """Status and JSON of the answer of the HTTP door."""
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.service.http_url}/twirp/livekit.Egress/{method}", data=body, headers=headers
            ) as answer,
        ):
            return answer.status, await answer.json()

    async def shown(self) -> str:
        """Everything that anybody may see: log, infos, health, metrics, webhooks, what /debug says."""
        pages = [self.service.log, *(body.decode() for body in self.hooks.bodies)]
        pages += [str(info) for sdk in (self.redis, self.direct) for info in await sdk.infos(room=ROOM)]
        async with aiohttp.ClientSession() as session:
            for port, path in (
                (self.service.health_port, "/"),
                (self.service.metrics_port, "/metrics"),
                (self.service.debug_port, "/debug"),
            ):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    pages.append(await answer.text())
        return "\n".join(pages)


async def refused(call: Any) -> tuple[str, int]:
    with pytest.raises(SdkError) as caught:
        await call
    return caught.value.code, caught.value.status


async def test_what_callers_do_wrong(stack: Stack, s3_server: ObjectServer, tmp_path: Path) -> None:
    server = stack.server
    prepare("ada", clip())
    async with AsyncExitStack() as exits:
        hooks = await exits.enter_async_context(receiving({server.api_key: server.api_secret}))
        service = await exits.enter_async_context(
            serving(tmp_path / "node", server, stack.redis, http=True, webhooks={"urls": [hooks.url]})
        )
        ada = await exits.enter_async_context(publishing(server, ROOM, video=False))
        redis = await exits.enter_async_context(python_sdk(server.http_url, server.api_key, server.api_secret))
        direct = await exits.enter_async_context(python_sdk(service.http_url, server.api_key, server.api_secret))
        scene = Scene(service, redis, direct, stack, hooks, ada.sids[Source.MICROPHONE], s3_server.url)
        scene.secrets += [server.api_secret, ACCESS_KEY, SECRET, SESSION, STREAM_KEY]
        await _tokens(scene)
        await _secrets_of_requests(scene)
        await _stops(scene)
        await _many_at_once(scene)
        await _one_id_twice(scene)
        await _garbage(scene)
        await until_nothing_runs(service)
        shown = await scene.shown()
        await _while_draining(scene)
        shown += service.log
    assert [secret for secret in scene.secrets if secret in shown] == []


async def _tokens(scene: Scene) -> None:
    for token in (
        "",
        "no.token.at-all",
        scene.token(roomCreate=True),
        scene.token(roomRecord=False),
        scene.token(roomRecord=True, expires=-120.0),
        scene.token(roomRecord=True, secret="another-secret-of-32-characters-!"),
        scene.token(roomRecord=True, key="APIunknown"),
    ):
        status, answer = await scene.post("ListEgress", "{}", token=token)
        assert (status, answer["code"]) == (401, "unauthenticated"), answer
    status, answer = await scene.post("ListEgress", "{}", token=scene.token(roomRecord=True))
    assert status == 200


async def _secrets_of_requests(scene: Scene) -> None:
    """Credentials and stream keys go to the worker and nowhere else, however the egress ends."""
    for sdk in (scene.redis, scene.direct):
        info = await sdk.start(with_secrets(scene.microphone, scene.storage))
        final = await until_final(sdk, await stop_when_active(sdk, info.egress_id))
        assert pb.EgressStatus.Name(final.status) == "EGRESS_FAILED"
        live = pb.RoomCompositeEgressRequest(
            room_name=ROOM,
            audio_only=True,
            stream_outputs=[
                pb.StreamOutput(protocol=pb.StreamProtocol.RTMP, urls=[f"rtmp://127.0.0.1:9/live/{STREAM_KEY}"])
            ],
        )
        await until_final(sdk, (await sdk.start(live)).egress_id)


async def stop_when_active(sdk: Sdk, egress_id: str) -> str:
    await eventually_known(sdk, egress_id, {"EGRESS_ACTIVE", "EGRESS_FAILED"})
    with suppress(SdkError):  # it has failed meanwhile
        await sdk.stop(egress_id)
    return egress_id


FINAL = {"EGRESS_COMPLETE", "EGRESS_FAILED", "EGRESS_ABORTED", "EGRESS_LIMIT_REACHED"}


async def until_final(sdk: Sdk, egress_id: str) -> pb.EgressInfo:
    return await eventually_known(sdk, egress_id, FINAL)


async def eventually_known(sdk: Sdk, egress_id: str, statuses: set[str]) -> pb.EgressInfo:
    """Wait until the door lists the egress in one of the statuses."""
    async with asyncio.timeout(60):
        while True:
            (info,) = await sdk.infos(egress_id=egress_id)
            if pb.EgressStatus.Name(info.status) in statuses:
                return info
            await asyncio.sleep(0.05)


async def _stops(scene: Scene) -> None:
    """During the start; twice; of what does not exist."""
    for sdk in (scene.redis, scene.direct):
        early = (await sdk.start(track(scene.microphone, "early.ogg"))).egress_id
        first = await sdk.stop(early)
        assert pb.EgressStatus.Name(first.status) in ("EGRESS_ABORTED", "EGRESS_ENDING")
        final = await until_final(sdk, early)
        assert (pb.EgressStatus.Name(final.status), final.error_code) == ("EGRESS_ABORTED", 412)
        assert await refused(sdk.stop(early)) == ("failed_precondition", 412)
        assert await refused(sdk.stop("EG_unknown")) == ("not_found", 404)
        assert await refused(sdk.layout(early, "grid")) in (("failed_precondition", 412), ("not_found", 404))


async def _many_at_once(scene: Scene) -> None:
    infos = await asyncio.gather(
        *(scene.direct.start(track(scene.microphone, f"many-{number}.ogg")) for number in range(AT_ONCE))
    )
    ids = {info.egress_id for info in infos}
    assert len(ids) == AT_ONCE
    assert ids <= set(scene.service.accepted())
    await asyncio.gather(*(scene.direct.stop(egress_id) for egress_id in ids))
    for egress_id in ids:
        await until_final(scene.direct, egress_id)


async def _one_id_twice(scene: Scene) -> None:
    """livekit-server repeats what was not answered in time: the egress is started once, and answered both times."""
    bus = RedisBus(scene.stack.redis.options)
    await bus.open()
    client = RpcClient(bus, SERVICE)
    try:
        await client.open()
        request = track(scene.microphone, "twice.ogg").SerializeToString()
        body = definitions.StartEgressRequest(egress_id="EG_twice", track=request).SerializeToString()
        answers = await asyncio.gather(*(client.call(START_EGRESS, body, timeout=10.0) for _ in range(2)))
        answers.append(await client.call(START_EGRESS, body, timeout=10.0))
        assert {pb.EgressInfo.FromString(answer).egress_id for answer in answers} == {"EG_twice"}
        assert scene.service.accepted().count("EG_twice") == 1
        await scene.redis.stop("EG_twice")
        await until_final(scene.redis, "EG_twice")
        now = round(wall() * 1e9)
        senseless = wire.Request("REQ_senseless", client.client_id, now, now + 5_000_000_000, b"\xff\xff")
        for payload in (b"", b"\x1f\x8b\x08garbage", b"\xff" * 40, wire.pack(senseless), body):
            deadline = Monotonic(monotonic() + 5.0)
            await bus.publish(START_EGRESS.requests(), payload, deadline=deadline)
    finally:
        await client.aclose()
        await bus.aclose()
    # It serves on.
    after = await scene.redis.start(track(scene.microphone, "after.ogg"))
    await scene.redis.stop(after.egress_id)
    await until_final(scene.redis, after.egress_id)


async def _garbage(scene: Scene) -> None:
    """Bodies that are no requests, and requests that make no sense, over HTTP."""
    token = scene.token(roomRecord=True)
    valid = track("TR_none", "fuzz.ogg")
    valid.room_name = "no-such-room"
    plain = valid.SerializeToString()

    changed = st.builds(
        lambda at, byte: plain[:at] + bytes([byte]) + plain[at + 1 :], st.integers(0, 40), st.integers(0, 255)
    )
    senseless = (b"{}", b"[]", b'{"egress_id": 5}', b'{"room_name": {"a": 1}}', b'{"egress_id": "%s"}' % (b"x" * 5000))
    texts = st.text(max_size=60).map(lambda text: text.encode())
    bodies = {
        "application/protobuf": st.one_of(st.binary(max_size=60), changed),
        "application/json": st.one_of(texts, st.sampled_from(senseless)),
    }

    @seed(5)
    @settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(METHODS),
        st.one_of([st.tuples(st.just(kind), strategy) for kind, strategy in bodies.items()]),
    )
    def fuzz(method: str, body: tuple[str, bytes]) -> None:
        connection.request(
            "POST",
            f"/twirp/livekit.Egress/{method}",
            body[1],
            {"Content-Type": body[0], "Authorization": f"Bearer {token}"},
        )
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 400, 401, 403, 404, 412, 501), (answer.status, text)
        assert answer.status != 200 or method == "ListEgress", text

    connection = http.client.HTTPConnection("127.0.0.1", scene.service.http_port, timeout=20)
    try:
        await asyncio.to_thread(fuzz)
    finally:
        connection.close()
    assert scene.service.running


async def _while_draining(scene: Scene) -> None:
    """SIGTERM: what runs goes on, and nothing new is taken; another one ends the last egress, in order."""
    first, last = [await scene.direct.start(track(scene.microphone, f"{name}.ogg")) for name in ("before-last", "last")]
    for info in (first, last):
        await eventually_known(scene.direct, info.egress_id, {"EGRESS_ACTIVE"})
    scene.service.signal(signal.SIGTERM)
    await eventually(lambda: "nothing new is taken" in scene.service.log, "it drains")
    assert await refused(scene.direct.start(track(scene.microphone, "late.ogg"))) == ("unavailable", 503)
    assert scene.service.running
    await scene.direct.stop(first.egress_id)
    await eventually_known(scene.direct, first.egress_id, {"EGRESS_COMPLETE"})
    assert scene.service.running
    scene.service.signal(signal.SIGTERM)
    assert await scene.service.ended() == 0
    for info, reason in ((first, "StopEgress API"), (last, "Process killed")):
        (told,) = await scene.redis.infos(egress_id=info.egress_id)
        assert pb.EgressStatus.Name(told.status) == "EGRESS_COMPLETE"
        assert told.details == f"End reason: {reason}"
        assert [stream.codec for stream in file_facts(told.file_results[0].location).streams] == ["opus"]
