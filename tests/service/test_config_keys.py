"""The table of keys: the example can be used, and the page is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyegress.service.config import ServiceConfig, parse_config, read_config
from pyegress.service.config_keys import all_keys, example, markdown
from pyegress.service.config_reader import Findings

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def uncommented() -> str:
    return "\n".join(re.sub(r"^# (?=[ -]|\w+:)", "", line) for line in example().splitlines())


def test_the_example_can_be_used_as_it_is() -> None:
    loaded = parse_config(example())
    assert loaded.warnings == ()
    assert loaded.config.ws_url == "ws://localhost:7880"
    assert loaded.config.redis is None


def test_every_key_of_the_example_is_known_and_well_typed() -> None:
    findings = Findings()
    config = read_config(uncommented(), findings)
    assert (findings.warnings, findings.notes) == ([], [])
    # One provider at a time.
    assert [error.field for error in findings.errors] == ["storage"]
    assert config.redis is not None
    assert config.api is not None
    assert len(config.auto_egress) == 1
    assert config.storage.s3 is not None


def test_the_example_shows_defaults_as_they_are() -> None:
    default, shown = ServiceConfig(), read_config(uncommented(), Findings())
    for key in ("kill_grace", "drain_timeout", "io_create_timeout", "spare_workers", "debug_host", "logging"):
        assert getattr(shown, key) == getattr(default, key), key


def test_every_key_says_what_it_means() -> None:
    for key in all_keys():
        assert key.about.text or key.about.instead, key.path


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == markdown(), "run: pyegress config keys > docs/configuration.md"
