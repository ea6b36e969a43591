from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from pyegress.service.logs import LogFormatter

pytestmark = pytest.mark.unit


def written(*, as_json: bool, secrets: tuple[str, ...] = ("hidden-1", "hidden-12"), fail: bool = False) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter(as_json=as_json, secrets=secrets))
    logger = logging.Logger("pyegress.test")
    logger.addHandler(handler)
    error = ValueError("hidden-12 is wrong")
    try:
        raise error
    except ValueError:
        logger.warning(
            "key %s\nof %r", "hidden-1", "ä", exc_info=sys.exc_info() if fail else None, extra={"egress_id": "EG_1"}
        )
    return stream.getvalue()


def test_one_object_a_line() -> None:
    (line,) = written(as_json=True).splitlines()
    record = json.loads(line)
    assert record["message"] == "key {secret}\nof 'ä'"
    assert (record["level"], record["logger"], record["egress_id"]) == ("warning", "pyegress.test", "EG_1")
    assert record["time"].endswith("Z")


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_hidden_in_tracebacks_too(as_json: bool) -> None:
    text = written(as_json=as_json, fail=True)
    assert "ValueError" in text
    assert "hidden" not in text


def test_short_values_are_no_secrets() -> None:
    assert "{secret}" not in written(as_json=True, secrets=("of",))
