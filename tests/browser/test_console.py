from __future__ import annotations

import pytest

from pyegress.browser.console import Console, console_text, exception_text, redact, signal_of

pytestmark = pytest.mark.unit

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJlZ3Jlc3MifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"cannot connect with {JWT}", JWT),
        ("GET https://h/a?access_token=hunter2hunter&x=1 failed", "hunter2hunter"),
        ("wss://user:password@h/rtc", "password"),
        ("Authorization: hunter2hunter", "hunter2hunter"),
        ('{"api_key":"hunter2hunter"}', "hunter2hunter"),
        ("password = hunter2hunter", "hunter2hunter"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_what_is_no_secret_stays() -> None:
    text = "TypeError: room is undefined at https://h/app.js?v=3"
    assert redact(text) == text


def test_the_console_keeps_the_newest_lines_once() -> None:
    console = Console()
    for number in range(30):
        console.add("error", f"line {number}")
    console.add("error", "line 25")
    assert len(console.lines) == 20
    assert console.lines[-1] == "error: line 25"
    assert console.lines.count("error: line 25") == 1
    assert console.summary(2) == "; on its console: error: line 29 | error: line 25"
    assert len(console.add("error", "x" * 1000)) == 300
    assert Console().summary() == ""


def test_signals() -> None:
    assert signal_of([{"type": "string", "value": "START_RECORDING"}]) == "START_RECORDING"
    assert (
        signal_of([{"type": "string", "value": "room"}, {"type": "string", "value": "END_RECORDING"}])
        == "END_RECORDING"
    )
    assert signal_of([{"type": "string", "value": "not START_RECORDING"}]) == ""


def test_texts() -> None:
    assert console_text([{"value": "a"}, {"value": 1}, {"type": "object", "description": "Error: x"}]) == "a 1 Error: x"
    details = {
        "text": "Uncaught",
        "url": "http://h/a.js",
        "lineNumber": 4,
        "exception": {"description": "Error: x\n at"},
    }
    assert exception_text(details) == "Error: x (http://h/a.js:5)"
