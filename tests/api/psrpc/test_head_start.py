from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import egress as pb

from pyegress.api.psrpc.head_start import HeadStart
from tests.support.waiting import eventually

pytestmark = pytest.mark.unit


def info(status: int, egress_id: str = "EG_a") -> pb.EgressInfo:
    return pb.EgressInfo(egress_id=egress_id, status=status)  # type: ignore[arg-type]


class Told:
    """A listener that keeps nothing until it is allowed to."""

    def __init__(self) -> None:
        self.infos: list[tuple[str, int]] = []
        self.kept: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def __call__(self, info: pb.EgressInfo) -> asyncio.Future[None] | None:
        self.infos.append((info.egress_id, info.status))
        return self.kept


async def test_changes_are_told_later_in_order() -> None:
    told = Told()
    held = HeadStart(told, 0.01)
    waiting = [held.add(info(status)) for status in (0, 5)]
    assert "EG_a" in held
    assert told.infos == []
    await eventually(lambda: told.infos, "they are told")
    assert told.infos == [("EG_a", 0), ("EG_a", 5)]
    assert "EG_a" not in held
    assert not any(future.done() for future in waiting)
    assert told.kept is not None
    told.kept.set_result(None)
    await asyncio.gather(*waiting)


async def test_closing_tells_at_once() -> None:
    told = Told()
    told.kept = None
    held = HeadStart(told, 60.0)
    waiting = [held.add(info(0, egress_id)) for egress_id in ("EG_a", "EG_b")]
    held.close()
    assert told.infos == [("EG_a", 0), ("EG_b", 0)]
    assert all(future.done() for future in waiting)
    held.close()
    assert len(told.infos) == 2
