"""What a spool folder says about its egress: the request, without its credentials or with them encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyegress.clock import Wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.json_lines import BadLine, decode, encode
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import Service
from pyegress.plan.redact import redacted
from pyegress.storage.sealing import seal, unseal

#: Stand for the token and the server of a room that is never joined again.
NO_TOKEN, NO_SERVER = "not kept", "ws://not.kept"


@dataclass(frozen=True, slots=True)
class SpooledPlan:
    """What is needed to finish an egress whose process is gone.

    `request` is redacted. `sealed` is the whole one, encrypted, "" when there is no key or nothing to hide; without it
    `complete` says whether the request held anything that had to be left out. `info` is what clients were told when
    the egress was accepted. `directory` is where relative names of local files begin.
    """

    egress_id: str
    kind: str
    at: Wall
    directory: str
    request: bytes = field(repr=False)
    info: bytes = field(repr=False)
    sealed: bytes = field(default=b"", repr=False)
    complete: bool = True
    room_id: str = ""
    ws_url: str = ""
    retry_count: int = 0
    version: int = 1

    @classmethod
    def of(cls, launch: Launch, key: str = "") -> SpooledPlan:
        """The plan of a launch; `key` encrypts what must not be read. Blocks for some 30 ms with one."""
        request = launch.read_request()
        shown = redacted(request)
        complete = shown == request
        return cls(
            egress_id=launch.egress_id,
            kind=launch.kind,
            at=launch.at,
            directory=launch.directory,
            request=shown.SerializeToString(deterministic=True),
            info=redacted(launch.read_info()).SerializeToString(deterministic=True),
            sealed=seal(launch.request, key) if key and not complete else b"",
            complete=complete,
            room_id=launch.room_id,
            ws_url=launch.ws_url,
            retry_count=launch.retry_count,
        )

    def launch(
        self,
        service: Service,
        *,
        spool: str,
        key: str = "",
        request: EgressRequest | None = None,
        keep_copies: bool = False,
    ) -> Launch:
        """A launch that plans the same outputs, with the storages that `service` configures today.

        `request` is the one that its caller has sent again. Raises EgressError when the credentials cannot be
        decrypted; without a key the redacted request is used, and storages that it names cannot be written
        (`plan.redact.lacks_secrets`).
        """
        content = self.request
        if request is not None:
            if request.DESCRIPTOR.full_name != self.kind:
                raise EgressError(
                    f"The egress was asked for by a {self.kind}, not by a {request.DESCRIPTOR.full_name}",
                    field="request",
                    code=Code.INVALID_ARGUMENT,
                    remedy="Send the request that started it",
                )
            content = request.SerializeToString(deterministic=True)
        elif self.sealed and key:
            content = unseal(self.sealed, key)
        return Launch(
            egress_id=self.egress_id,
            kind=self.kind,
            request=content,
            info=self.info,
            at=self.at,
            service=service,
            directory=self.directory,
            spool=spool,
            keep_copies=keep_copies,
            room_id=self.room_id,
            token=NO_TOKEN,
            ws_url=self.ws_url or service.ws_url or NO_SERVER,
            retry_count=self.retry_count,
        )

    def encode(self) -> bytes:
        """One JSON line."""
        return encode(self)

    @classmethod
    def decode(cls, data: bytes) -> SpooledPlan:
        """Raises EgressError for what is no plan of this version."""
        try:
            plan = decode(data, cls)
            assert isinstance(plan, cls)
        except BadLine as error:
            raise EgressError(
                f"The plan in the spool cannot be read: {error}",
                code=Code.FAILED_PRECONDITION,
                remedy="Export what was recorded with `pyegress spool export`",
            ) from None
        return plan
