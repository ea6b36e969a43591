"""What `pyegress spool` does: it works on the folders themselves, each claimed while it does."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import typer
from google.protobuf.json_format import MessageToDict
from livekit.protocol import egress as pb

from pyegress.cli import exit_codes
from pyegress.cli.foreground import fail
from pyegress.cli.spool_rows import SpoolRow, table
from pyegress.cli.wording import Wording
from pyegress.clock import wall
from pyegress.errors import Code, EgressError, InvalidRequest, OutputFailed
from pyegress.lifecycle.outcome import Outcome
from pyegress.lifecycle.worker_messages import Launch
from pyegress.outputs.disk import disk_failure
from pyegress.outputs.left_file import finish_left
from pyegress.plan.form import EgressRequest
from pyegress.plan.request_json import REQUEST_TYPES, request_from_json
from pyegress.service.config import ServiceConfig, load_config
from pyegress.storage.journal_entries import SpooledObject, SpoolState
from pyegress.storage.objects import ObjectKind
from pyegress.storage.spool import Spool, SpoolFolder
from pyegress.storage.spool_steps import next_step
from pyegress.worker.assignment import abandon, finish_launch
from pyegress.worker.spooled import Spooled

_INFO = "egress.json"


class SpoolWork:
    """The spool of a configuration."""

    def __init__(self, config: ServiceConfig, directory: str) -> None:
        self.config = config
        self.spool = Spool(directory or config.spool_directory)

    @classmethod
    @contextmanager
    def opened(cls, config: str, directory: str) -> Iterator[SpoolWork]:
        """Errors are said, and end the program with their exit code."""
        try:
            yield cls(load_config(config).config, directory)
        except EgressError as error:
            fail(error, Wording())
            raise typer.Exit(exit_codes.of_error(error)) from None
        except OSError as error:
            typer.echo(f"pyegress: the spool cannot be used: {error.strerror}: {error.filename}", err=True)
            raise typer.Exit(exit_codes.ExitCode.OUTPUT) from None

    def rows(self) -> list[SpoolRow]:
        """Every egress, oldest first."""
        now = wall()
        rows = []
        for folder in self.spool.folders():
            record, busy = folder.record(), folder.busy
            decision = next_step(record, busy=busy, now=now, keep=self.config.spool.keep)
            rows.append(SpoolRow.of(folder.path.name, _room(folder), record, folder.size(), decision, busy=busy))
        return rows

    def retry(self, egress_id: str, request: str, *, as_json: bool) -> bool:
        """Finish and deliver; whether everything is where it belongs."""
        folder = self.spool.folder(egress_id)
        plan = folder.plan()
        asked = _read(request, plan.kind) if request else None
        key = self.config.spool.encryption_key
        launch = plan.launch(self.config.service, spool=str(folder.path), key=key, request=asked)
        outcome = asyncio.run(_finish(launch, folder))
        done = folder.record().state is SpoolState.DONE
        reason = outcome.error.message if outcome.error is not None else outcome.pending
        if as_json:
            locations = [item.location for item in folder.record().objects.values() if item.location]
            document = {"egress_id": egress_id, "done": done, "reason": reason, "locations": locations}
            typer.echo(json.dumps(document, ensure_ascii=False))
        elif done:
            typer.echo(f"{egress_id}: everything is delivered")
            for item in folder.record().objects.values():
                typer.echo(f"  {item.location}")
        else:
            typer.echo(f"{egress_id}: {reason or 'not everything is delivered'}", err=True)
        return done

    def export(self, egress_id: str, target: str, *, as_json: bool) -> None:
        """Copies of everything that is on the disk, finished; and what clients were told."""
        folder = self.spool.folder(egress_id)
        plan, record = folder.plan(), folder.record()
        place = Path(target)
        exported = []
        for item in record.objects.values():
            with suppress(FileNotFoundError):
                exported.append(_copied(folder, item, place))
        info = pb.EgressInfo.FromString(record.told or plan.info)
        text = json.dumps(MessageToDict(info, preserving_proto_field_name=True), indent=2, ensure_ascii=False)
        place.mkdir(parents=True, exist_ok=True)
        (place / _INFO).write_text(text + "\n")
        if folder.received.exists() and not folder.busy:
            typer.echo(f"There is more of {egress_id}, not rendered yet: `pyegress spool retry` does it", err=True)
        if as_json:
            typer.echo(json.dumps([str(path) for path in exported], ensure_ascii=False))
        else:
            typer.echo("\n".join(map(str, exported)) or f"Nothing of {egress_id} is on this disk")

    def drop(self, egress_ids: Sequence[str], *, undelivered: bool, as_json: bool) -> None:
        """Remove folders; all of them may be, or none is."""
        folders = [self.spool.folder(egress_id) for egress_id in egress_ids]
        for folder in folders:
            folder.plan()
            left = [item.key.name for item in folder.record().waiting if folder.path_of(item).exists()]
            left += ["what is not rendered yet"] if folder.received.exists() else []
            if left and not undelivered:
                raise InvalidRequest(
                    f"{len(left)} objects of {folder.path.name} are not delivered, the first is {left[0]}",
                    field="egress_id",
                    code=Code.FAILED_PRECONDITION,
                    remedy="Deliver them with `pyegress spool retry`, take them with `pyegress spool export`, or say "
                    "--undelivered",
                )
        for folder in folders:
            with folder.claim():
                self._abandon(folder)
                folder.remove()
        if as_json:
            typer.echo(json.dumps(list(egress_ids)))

    def _abandon(self, folder: SpoolFolder) -> None:
        """Parts of what was never delivered would stay at its storage."""
        record = folder.record()
        if any(item.parted is not None for item in record.waiting):
            key = self.config.spool.encryption_key
            try:
                launch = folder.plan().launch(self.config.service, spool=str(folder.path), key=key)
                asyncio.run(abandon(launch, record))
            except EgressError as error:
                typer.echo(f"{folder.path.name}: parts of its uploads stay at the storage: {error.message}", err=True)


def print_list(rows: Sequence[SpoolRow], *, as_json: bool) -> None:
    """A table, or one JSON array."""
    if as_json:
        typer.echo(json.dumps([row.as_json() for row in rows], ensure_ascii=False))
    elif rows:
        typer.echo("\n".join(table(rows, wall())))
    else:
        typer.echo("The spool is empty: everything is delivered")


async def _finish(launch: Launch, folder: SpoolFolder) -> Outcome:
    async with Spooled(folder) as spooled:
        return await spooled.settle(await finish_launch(launch, spooled))


def _copied(folder: SpoolFolder, item: SpooledObject, place: Path) -> Path:
    source = folder.path_of(item)
    target = place / (item.key.name.lstrip("/") or source.name)
    if target.exists():
        raise OutputFailed(
            f"{target} exists already", field="DIR", code=Code.ALREADY_EXISTS, remedy="Choose another folder"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise disk_failure(error, target, "write") from error
    if item.kind in (None, ObjectKind.FILE) and not item.finished:
        finish_left(target)
    return target


def _read(path: str, kind: str) -> EgressRequest:
    """The request in a file, of the kind that started the egress."""
    named = next(name for name, message in REQUEST_TYPES.items() if message.DESCRIPTOR.full_name == kind)
    try:
        return request_from_json(named, Path(path).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}", field="--request") from None


def _room(folder: SpoolFolder) -> str:
    with suppress(EgressError):
        return str(pb.EgressInfo.FromString(folder.plan().info).room_name)
    return ""
