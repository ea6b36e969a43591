"""`/debug`: what the service and its workers do right now, as text. No request, no value and no secret is shown."""

from __future__ import annotations

from pyegress.errors import NotFound
from pyegress.lifecycle.egress import status_of
from pyegress.lifecycle.worker_messages import Description
from pyegress.service.supervisor import Supervisor
from pyegress.stacks import tasks_text

_EGRESS = "/debug/egress/"


async def debug_page(supervisor: Supervisor, path: str) -> str:
    """The page at `path`. Raises EgressError: NotFound, or that the worker does not answer."""
    path = path.rstrip("/")
    if path == "/debug":
        return _overview(supervisor)
    if path == "/debug/tasks":
        return tasks_text()
    if path.startswith(_EGRESS):
        egress_id, _, what = path.removeprefix(_EGRESS).partition("/")
        if what in ("", "tasks"):
            run = supervisor.runs.get(egress_id)
            if run is None:
                raise NotFound(f"Egress {egress_id} does not run on this node", remedy="/debug lists those that do")
            return await run.describe(Description.TASKS if what else Description.PIPELINE)
    raise NotFound("There is no such page", remedy="Begin at /debug")


def _overview(supervisor: Supervisor) -> str:
    watch = supervisor.watch
    lines = [
        f"node {supervisor.node_id}{', draining' if supervisor.draining else ''}",
        f"{watch.available:.2f} of {watch.machine.cores:g} cores are free for egresses",
        "",
        "/debug/tasks",
    ]
    for egress_id, run in supervisor.runs.items():
        load = watch.loads.get(egress_id)
        figures = f", {load.cores:.2f} cores, {load.memory:.2f} GB" if load is not None else ""
        lines += [
            "",
            f"{egress_id}: {run.plan.type.value}, {run.status.name}, worker {run.pid or 'not started'}{figures}",
            f"  {run.info.details or 'no details'}",
            f"  {_EGRESS}{egress_id}",
            f"  {_EGRESS}{egress_id}/tasks",
        ]
    for egress_id, kept in supervisor.spool.kept.items():
        doing = f"process {kept.alone} records on" if kept.alone is not None else kept.decision.reason
        lines += ["", f"{egress_id}: in the spool, {status_of(kept.info).name}: {doing}", f"  {kept.folder.path}"]
    return "\n".join(lines) + "\n"
