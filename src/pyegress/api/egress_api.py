"""The ten methods of `livekit.Egress`, answered from the service and the store, without livekit-server or Redis."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message
from livekit.protocol import egress as pb
from livekit.protocol.models import TokenPagination

from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound
from pyegress.plan.form import EgressRequest
from pyegress.plan.redact import redacted
from pyegress.service.egress_reports import EgressReports
from pyegress.service.egress_service import EgressService, EgressStart
from pyegress.service.egress_store import EgressStore, is_final
from pyegress.service.launcher import STORE_TIMEOUT, Launcher, new_egress_id
from pyegress.service.room_service import RoomService
from pyegress.service.webhook_events import check_webhooks, requested_webhooks


class EgressApi:
    """Every method takes its request and gives its answer, or raises EgressError.

    Whatever the service has told of is in the answers that are read from the store.
    """

    def __init__(
        self,
        service: EgressService,
        store: EgressStore,
        reports: EgressReports,
        launcher: Launcher,
        rooms: RoomService,
        keys: Mapping[str, str],
    ) -> None:
        self._service = service
        self._store = store
        self._reports = reports
        self._launcher = launcher
        self._rooms = rooms
        self._keys = keys

    async def call(self, request: Message) -> Message:
        """Answer a request of any of the methods: each has a type of its own."""
        match request:
            case pb.ListEgressRequest():
                return await self.list_egress(request)
            case pb.StopEgressRequest():
                return redacted(await self.stop_egress(request))
            case pb.UpdateStreamRequest():
                return redacted(await self.update_stream(request))
            case pb.UpdateLayoutRequest():
                return redacted(await self.update_layout(request))
            case (
                pb.StartEgressRequest()
                | pb.RoomCompositeEgressRequest()
                | pb.WebEgressRequest()
                | pb.ParticipantEgressRequest()
                | pb.TrackCompositeEgressRequest()
                | pb.TrackEgressRequest()
            ):
                return redacted(await self.start(request))
        raise EgressError(f"No method takes {type(request).__name__}", code=Code.UNIMPLEMENTED)

    async def start(self, request: EgressRequest) -> pb.EgressInfo:
        """Start an egress: its id is new, and its room is looked up at livekit-server."""
        check_webhooks(requested_webhooks(request), self._keys)
        room_id = ""
        if not _is_web(request):
            name = _room_name(request)
            if not name:
                raise InvalidRequest(
                    "No room was named: request has missing or invalid field: room_name",
                    field="room_name",
                    remedy="Give the name of the room that is recorded",
                )
            room_id = await self._rooms.room_id(name)
        return await self._launcher.launch(EgressStart(new_egress_id(), request, room_id=room_id))

    async def list_egress(self, request: pb.ListEgressRequest) -> pb.ListEgressResponse:
        """Infos, newest first. An egress id goes before the other filters, and must exist, as with livekit-server."""
        if request.egress_id:
            return pb.ListEgressResponse(items=[self._newest(await self._stored(request.egress_id))])
        await self._reports.settled(STORE_TIMEOUT)
        page = await self._store.page(
            room_name=request.room_name, active=request.active, page_token=request.page_token.token
        )
        next_token = TokenPagination(token=page.next_token) if page.next_token else None
        return pb.ListEgressResponse(items=map(self._newest, page.infos), next_page_token=next_token)

    async def stop_egress(self, request: pb.StopEgressRequest) -> pb.EgressInfo:
        """End an egress; what it has recorded is finished."""
        try:
            return await self._service.stop(request.egress_id)
        except EgressError as error:
            raise await self._why_not(request.egress_id, "stopped", error) from None

    async def update_stream(self, request: pb.UpdateStreamRequest) -> pb.EgressInfo:
        """Add and remove destinations of a running stream."""
        try:
            return await self._service.update_stream(request)
        except EgressError as error:
            raise await self._why_not(request.egress_id, "updated", error) from None

    async def update_layout(self, request: pb.UpdateLayoutRequest) -> pb.EgressInfo:
        """Hand a new layout to the participant that records: it becomes its metadata."""
        info = self._service.info(request.egress_id) or await self._stored(request.egress_id)
        if is_final(info) or info.status == pb.EgressStatus.EGRESS_ENDING:
            raise _ended(info, "updated")
        if not info.room_name:
            raise InvalidRequest(
                "An egress of a web page has no layout", field="egress_id", remedy="Change the page that is recorded"
            )
        await self._rooms.update_layout(info.room_name, info.egress_id, request.layout)
        return info

    def _newest(self, info: pb.EgressInfo) -> pb.EgressInfo:
        """A stored info; of what runs here, with the sizes of this moment."""
        now = None if is_final(info) else self._service.info(info.egress_id)
        return redacted(now) if now is not None and now.status == info.status else info

    async def _stored(self, egress_id: str) -> pb.EgressInfo:
        await self._reports.settled(STORE_TIMEOUT)
        info = await self._store.get(egress_id)
        if info is None:
            raise NotFound(
                f"egress does not exist: {egress_id!r}"[:120],
                field="egress_id",
                remedy="See ListEgress; egresses that ended long ago are forgotten",
            )
        return info

    async def _why_not(self, egress_id: str, what: str, error: EgressError) -> EgressError:
        """The error to answer when the service refused: an egress that is unknown, or has ended, is said to be so."""
        if error.code not in (Code.NOT_FOUND, Code.FAILED_PRECONDITION):
            return error
        info = self._service.info(egress_id)
        if info is None:
            try:
                info = await self._stored(egress_id)
            except EgressError as missing:
                return missing
        if is_final(info) or info.status == pb.EgressStatus.EGRESS_ENDING:
            return _ended(info, what)
        return error


def _ended(info: pb.EgressInfo, what: str) -> EgressError:
    status = pb.EgressStatus.Name(info.status)
    return EgressError(
        f"egress with status {status} cannot be {what}",
        field="egress_id",
        code=Code.FAILED_PRECONDITION,
        fault=Fault.CALLER,
    )


def _is_web(request: EgressRequest) -> bool:
    if isinstance(request, pb.StartEgressRequest):
        return request.HasField("web")
    return isinstance(request, pb.WebEgressRequest)


def _room_name(request: EgressRequest) -> str:
    return getattr(request, "room_name", "")
