"""The store of infos: kept over restarts, listed by filter and page, forgotten in time."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError, InvalidRequest
from pyegress.service.egress_store import Change, EgressStore, Stored

pytestmark = pytest.mark.unit

ACTIVE, COMPLETE = pb.EgressStatus.EGRESS_ACTIVE, pb.EgressStatus.EGRESS_COMPLETE


def info(
    id: str, room: str = "room", status: pb.EgressStatus = pb.EgressStatus.EGRESS_STARTING, ended: int = 0
) -> pb.EgressInfo:
    return pb.EgressInfo(egress_id=id, room_name=room, status=status, ended_at=ended)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EgressStore]:
    store = EgressStore(tmp_path / "new" / "egress.db", page_size=3)
    await store.open()
    yield store
    await store.aclose()


def ids(infos: tuple[pb.EgressInfo, ...] | list[pb.EgressInfo]) -> list[str]:
    return [info.egress_id for info in infos]


async def test_an_info_is_the_same_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "egress.db"
    whole = info("EG_1", "Räume|1", ACTIVE)
    whole.room_composite.webhooks.add(url="https://example.com", signing_key="key")
    whole.file_results.add(filename="a.mp4", size=2**40, duration=3)
    first = EgressStore(path)
    await first.open()
    await first.put(whole, announced=True)
    await first.aclose()
    second = EgressStore(path)
    await second.open()
    try:
        assert await second.get("EG_1") == whole
        changed = await second.put(info("EG_1", "Räume|1", COMPLETE, ended=5))
        assert changed == Stored(Change.UPDATED, announced=True)
    finally:
        await second.aclose()


async def test_what_changed_is_told(store: EgressStore) -> None:
    assert await store.put(info("EG_1")) == Stored(Change.CREATED, announced=False)
    assert await store.put(info("EG_1"), announced=True) == Stored(Change.NONE, announced=False)
    assert await store.put(info("EG_1", status=ACTIVE)) == Stored(Change.UPDATED, announced=False)


async def test_a_final_status_stays(store: EgressStore) -> None:
    await store.put(info("EG_1", status=COMPLETE, ended=5))
    assert (await store.put(info("EG_1", status=ACTIVE))).change is Change.NONE
    stored = await store.get("EG_1")
    assert stored is not None
    assert stored.status == COMPLETE
    later = info("EG_1", status=COMPLETE, ended=5)
    later.manifest_location = "there"
    assert (await store.put(later)).change is Change.UPDATED


async def test_filters(store: EgressStore) -> None:
    await store.put(info("EG_1", "a"))
    await store.put(info("EG_2", "b", COMPLETE, 1))
    await store.put(info("EG_3", "a", COMPLETE, 1))
    assert ids((await store.page()).infos) == ["EG_3", "EG_2", "EG_1"]
    assert ids((await store.page(room_name="a")).infos) == ["EG_3", "EG_1"]
    assert ids((await store.page(active=True)).infos) == ["EG_1"]
    assert ids((await store.page(room_name="b", active=True)).infos) == []
    assert ids((await store.page(room_name="a' OR 1 --")).infos) == []
    assert ids(await store.active()) == ["EG_1"]


async def test_pages_show_everything_once_whatever_comes_meanwhile(store: EgressStore) -> None:
    for index in range(7):
        await store.put(info(f"EG_{index}"))
    seen, token = [], ""
    while True:
        page = await store.page(page_token=token)
        seen += ids(page.infos)
        assert len(page.infos) <= 3
        # New ones, and changes of old ones, move nothing.
        await store.put(info(f"EG_new{len(seen)}"))
        await store.put(info("EG_0", status=ACTIVE))
        if not (token := page.next_token):
            break
    assert seen == [f"EG_{index}" for index in reversed(range(7))]


async def test_a_full_last_page_has_no_next(store: EgressStore) -> None:
    for index in range(3):
        await store.put(info(f"EG_{index}"))
    assert (await store.page()).next_token == ""


@pytest.mark.parametrize("token", ["x", "!!", "YmVmb3JlOng", "YmVmb3JlOi0x", "öö", "A" * 5000])
async def test_a_token_of_nobody_is_refused(store: EgressStore, token: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await store.page(page_token=token)
    assert refused.value.field == "page_token"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_token_breaks_the_store(token: str) -> None:
    async def ask() -> None:
        store = EgressStore(":memory:")
        await store.open()
        try:
            await store.page(page_token=token)
        except InvalidRequest:
            pass
        finally:
            await store.aclose()

    asyncio.run(ask())


async def test_only_what_ended_is_forgotten(store: EgressStore) -> None:
    await store.put(info("EG_old", status=COMPLETE, ended=100))
    await store.put(info("EG_new", status=COMPLETE, ended=300))
    await store.put(info("EG_active", status=ACTIVE))
    assert await store.forget(ended_before=200) == 1
    assert await store.get("EG_old") is None
    assert ids((await store.page()).infos) == ["EG_active", "EG_new"]


async def test_the_file_is_for_its_owner_only(store: EgressStore, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "new" / "egress.db").stat().st_mode) == 0o600


async def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, and they are long enough to be read as a page of a database" * 100)
    store = EgressStore(path)
    with pytest.raises(EgressError) as refused:
        await store.open()
    assert refused.value.field == "database"
    assert path.read_text().startswith("these are notes")
    await store.aclose()


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "egress.db")
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(EgressError, match="version 7"):
        await EgressStore(tmp_path / "egress.db").open()


async def test_a_closed_store_says_so(store: EgressStore) -> None:
    await store.aclose()
    with pytest.raises(EgressError) as refused:
        await store.get("EG_1")
    assert refused.value.code is Code.UNAVAILABLE
