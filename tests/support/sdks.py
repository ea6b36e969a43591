"""LiveKit's official server SDKs, for Python, Node and Go, behind one face: what one can do, the others must.

Go's is the one that LiveKit's command line (`lk`) is made of.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from livekit import api
from livekit.protocol import egress as pb
from livekit.protocol.webhook import WebhookEvent

from pyegress.demo.server import tools_directory

NODE_SDK = "livekit-server-sdk"
_T = TypeVar("_T")
_NODE_DRIVER = Path(__file__).with_name("sdk_driver.mjs")
_GO_DRIVER = "sdk-driver-go"
#: Bytes of the longest answer.
_LINE_LIMIT = 16 * 1024 * 1024


@dataclass(slots=True)
class SdkError(Exception):
    """What an SDK raised: code and message of Twirp, and the HTTP status."""

    code: str
    status: int
    message: str


@dataclass(slots=True)
class Hooks:
    """Webhooks that a receiver has verified, in the order of their arrival, and those that it rejected."""

    url: str
    events: list[WebhookEvent] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    def of(self, egress_id: str) -> list[tuple[str, str]]:
        """Event and status of each webhook about an egress."""
        return [
            (event.event, pb.EgressStatus.Name(event.egress_info.status).removeprefix("EGRESS_"))
            for event in self.events
            if event.egress_info.egress_id == egress_id
        ]


class Sdk(Protocol):
    """An EgressClient. Calls raise SdkError."""

    async def start(self, request: Message) -> pb.EgressInfo: ...

    async def stop(self, egress_id: str) -> pb.EgressInfo: ...

    async def layout(self, egress_id: str, layout: str) -> pb.EgressInfo: ...

    async def stream(self, egress_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> pb.EgressInfo: ...

    async def infos(self, *, egress_id: str = "", room: str = "") -> list[pb.EgressInfo]: ...


class PythonSdk:
    """PyPI livekit-api."""

    def __init__(self, client: api.LiveKitAPI) -> None:
        self._egress = client.egress

    async def start(self, request: Message) -> pb.EgressInfo:
        starts: dict[type[Message], Callable[[Any], Awaitable[pb.EgressInfo]]] = {
            pb.RoomCompositeEgressRequest: self._egress.start_room_composite_egress,
            pb.ParticipantEgressRequest: self._egress.start_participant_egress,
            pb.TrackCompositeEgressRequest: self._egress.start_track_composite_egress,
            pb.TrackEgressRequest: self._egress.start_track_egress,
            pb.WebEgressRequest: self._egress.start_web_egress,
            pb.StartEgressRequest: self._egress.start_egress,
        }
        return await _called(starts[type(request)](request))

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        return await _called(self._egress.stop_egress(pb.StopEgressRequest(egress_id=egress_id)))

    async def layout(self, egress_id: str, layout: str) -> pb.EgressInfo:
        return await _called(self._egress.update_layout(pb.UpdateLayoutRequest(egress_id=egress_id, layout=layout)))

    async def stream(self, egress_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> pb.EgressInfo:
        request = pb.UpdateStreamRequest(egress_id=egress_id, add_output_urls=add, remove_output_urls=remove)
        return await _called(self._egress.update_stream(request))

    async def infos(self, *, egress_id: str = "", room: str = "") -> list[pb.EgressInfo]:
        response = await _called(self._egress.list_egress(pb.ListEgressRequest(egress_id=egress_id, room_name=room)))
        return list(response.items)


async def _called(call: Awaitable[_T]) -> _T:
    try:
        return await call
    except api.TwirpError as error:
        raise SdkError(error.code, error.status, error.message) from None


class DrivenSdk:
    """An SDK of another language, in a process of its own. Made by `node_sdk` and `go_sdk`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._hooks: Hooks | None = None
        self._reading = asyncio.create_task(self._read(), name="answers of an SDK")

    async def start(self, request: Message) -> pb.EgressInfo:
        options = {"kind": request.DESCRIPTOR.name, "request": _json(request)}
        return _info(await self.call("start", **options))

    async def stop(self, egress_id: str) -> pb.EgressInfo:
        return _info(await self.call("stop", id=egress_id))

    async def layout(self, egress_id: str, layout: str) -> pb.EgressInfo:
        return _info(await self.call("layout", id=egress_id, layout=layout))

    async def stream(self, egress_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> pb.EgressInfo:
        return _info(await self.call("stream", id=egress_id, add=list(add), remove=list(remove)))

    async def infos(self, *, egress_id: str = "", room: str = "") -> list[pb.EgressInfo]:
        options = {"egressId": egress_id, "roomName": room}
        answer = await self.call("list", **{name: value for name, value in options.items() if value})
        return [_info(item) for item in answer]

    async def receive(self, key: str, secret: str) -> Hooks:
        """Open a receiver of webhooks (Node only)."""
        self._hooks = Hooks("")
        self._hooks.url = await self.call("receive", key=key, secret=secret)
        return self._hooks

    async def call(self, method: str, **options: Any) -> Any:
        number = len(self._calls)
        self._calls[number] = answer = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"call": number, "method": method, "options": options}).encode() + b"\n")
        async with asyncio.timeout(30):
            return await answer

    async def aclose(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(10):
            await self._process.wait()
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if event := message.get("event"):
                assert self._hooks is not None
                self._hooks.events.append(ParseDict(event, WebhookEvent(), ignore_unknown_fields=True))
            elif rejected := message.get("rejected"):
                assert self._hooks is not None
                self._hooks.rejected.append(rejected)
            elif error := message.get("error"):
                self._calls[message["call"]].set_exception(SdkError(error["code"], error["status"], error["message"]))
            else:
                self._calls[message["call"]].set_result(message["result"])
        for call in self._calls.values():
            if not call.done():
                call.set_exception(AssertionError("the process of the SDK has ended"))


@asynccontextmanager
async def python_sdk(url: str, key: str, secret: str) -> AsyncIterator[PythonSdk]:
    async with api.LiveKitAPI(url, key, secret) as client:
        yield PythonSdk(client)


def node_sdk(url: str, key: str, secret: str) -> AbstractAsyncContextManager[DrivenSdk]:
    """npm livekit-server-sdk."""
    return _driven((_node() or "node", str(_NODE_DRIVER), str(_node_folder())), url, key, secret)


def go_sdk(url: str, key: str, secret: str) -> AbstractAsyncContextManager[DrivenSdk]:
    """github.com/livekit/server-sdk-go."""
    return _driven((str(tools_directory() / _GO_DRIVER),), url, key, secret)


@asynccontextmanager
async def _driven(command: Sequence[str], url: str, key: str, secret: str) -> AsyncIterator[DrivenSdk]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_LIMIT
    )
    sdk = DrivenSdk(process)
    try:
        await sdk.call("connect", url=url, key=key, secret=secret)
        yield sdk
    finally:
        await sdk.aclose()


def why_no_node() -> str:
    """Why the Node SDK cannot be used here; empty when it can."""
    return "" if _node() and _node_folder().is_dir() else f"no Node or no {NODE_SDK}: run scripts/setup"


def why_no_go() -> str:
    """Why the Go SDK cannot be used here; empty when it can."""
    return "" if os.access(tools_directory() / _GO_DRIVER, os.X_OK) else f"no {_GO_DRIVER}: run scripts/setup"


def _node() -> str | None:
    return shutil.which("node", path=f"{tools_directory()}:{os.environ.get('PATH', '')}")


def _node_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pyegress" / NODE_SDK


def _json(request: Message) -> Any:
    return MessageToDict(request, preserving_proto_field_name=True, use_integers_for_enums=True)


def _info(answer: Any) -> pb.EgressInfo:
    return ParseDict(answer, pb.EgressInfo(), ignore_unknown_fields=True)
