"""The search for secrets finds them wherever they are."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.support.secrecy import Secrecy

pytestmark = pytest.mark.unit

SECRET = "a long enough secret"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJBUElrZXkifQ.c2lnbmF0dXJlIG9mIGl0IGFsbA"


def test_what_is_found(tmp_path: Path) -> None:
    secrecy = Secrecy()
    assert secrecy.keep(SECRET, "the secret") == SECRET
    secrecy.keep("short", "nothing")
    log = logging.getLogger("tests.secrecy")
    log.propagate = False
    log.addHandler(secrecy)
    try:
        log.warning("nothing to see, in short: %s", "eyJ.eyJ.x")
        log.warning("it is %s", SECRET)
        try:
            raise ValueError(SECRET)
        except ValueError:
            log.exception("it failed")
    finally:
        log.removeHandler(secrecy)
    assert [text.partition(":")[0] for text in secrecy.found()] == ["the secret in the log"] * 2
    assert secrecy.found() == []
    (tmp_path / "spool" / "media").mkdir(parents=True)
    for name in ("spool/plan.json", "spool/media/talk.mp4", "service.log"):
        (tmp_path / name).write_text(f"{{{SECRET}}}" if "spool" in name else f"Bearer {TOKEN}")
    secrecy.watch(tmp_path / "spool", tmp_path / "service.log", tmp_path / "not there")
    assert secrecy.found() == [
        f"the secret in {tmp_path}/spool/plan.json",
        f"a token in {tmp_path}/service.log",
    ]
    assert secrecy.found() == [], "what is looked at once is not looked at again"
    secrecy.look(TOKEN, "a page")
    assert secrecy.found() == ["a token in a page"]
