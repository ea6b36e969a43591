from __future__ import annotations

import pytest
import typer

from pyegress.cli.options import Common, seconds

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5", 1.5),
        ("15m", 900.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h30m5s", 5405.0),
        ("1.5h", 5400.0),
        (" 2M ", 120.0),
    ],
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text, "duration") == expected


@pytest.mark.parametrize("text", ["-5", "s", "500ms", "nan", "inf", "1e5", "1_0", "5m1h", "1h 30m", "ten", "5d", "٣s"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time; write 90, 90s, 15m or 1h30m"):
        seconds(text, "duration")


def test_arguments_of_a_recording() -> None:
    common = Common(room="r", duration="1m", wait="0", reconnect_window="0", overwrite=True)
    arguments = common.arguments()
    assert arguments["duration"] == 60.0
    assert arguments["wait"] is None
    assert arguments["reconnect_window"] == 0.0
    assert arguments["overwrite"] is True
    assert Common().arguments()["duration"] is None
    assert Common().arguments()["wait"] == 30.0
