"""The decisions that the web page is tested against are those of the native layouts of today."""

from __future__ import annotations

import json
import subprocess

import pytest

from pyegress.demo.server import tools_directory
from tests.layouts.web_arrangements import FILE, conversations, text

pytestmark = pytest.mark.unit


def test_the_web_page_is_tested_against_the_native_layouts() -> None:
    assert FILE.read_text() == text(), "write it anew: python -m tests.layouts.web_arrangements; then npm test"


def test_the_conversations_show_everything() -> None:
    stories = conversations()
    drawn = [tile for story in stories for step in story["steps"] for tile in step["arrangement"]["tiles"]]
    assert {tile["content"]["type"] for tile in drawn} == {"picture", "muted", "initials"}
    assert {tile["content"].get("fit") for tile in drawn} >= {"cover", "contain", "width"}
    assert any("label" in tile for tile in drawn)
    assert any("border" in tile for tile in drawn)
    assert max(len(step["arrangement"]["tiles"]) for story in stories for step in story["steps"]) >= 16
    assert len(json.dumps(stories)) < 4_000_000


def test_the_web_page_decides_the_same() -> None:
    runner = FILE.parents[1] / "node_modules" / "vitest" / "vitest.mjs"
    assert runner.exists(), "scripts/setup installs it"
    command = [str(tools_directory() / "node"), str(runner), "run", "--root", str(FILE.parents[1])]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert "passed" in ran.stdout
