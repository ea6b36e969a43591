from __future__ import annotations

import pytest
import typer

from pyegress.cli.options import Common, Copyable, Encoded, octets, seconds
from pyegress.plan.encoding_arguments import EncodingArguments

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("0", 0),
        ("1234567", 1_234_567),
        ("800k", 800_000),
        ("500M", 500_000_000),
        ("2G", 2_000_000_000),
        ("1.5 GB", 1_500_000_000),
        ("1t", 10**12),
        ("2GiB", 2 << 30),
        ("512kib", 512 << 10),
        ("100B", 100),
    ],
)
def test_sizes(text: str, expected: int | None) -> None:
    assert octets(text, "max-file-size") == expected


@pytest.mark.parametrize("text", ["-5M", "M", "5X", "nan", "1e9", "1_000", "5 M B", "٣M", "5i"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no size; write 500M, 2G or a number of bytes"):
        octets(text, "max-file-size")


@pytest.mark.parametrize("table", [Encoded, Copyable])
def test_arguments_of_an_encoded_recording(table: type[Encoded]) -> None:
    told = table(room="r", max_file_size="5M", preset="H264_1080P_30", fps=25)
    assert told.arguments()["max_file_size"] == 5_000_000
    assert told.arguments()["room"] == "r"
    assert EncodingArguments(**told.encoding()) == EncodingArguments(preset="H264_1080P_30", fps=25)
    assert table().arguments()["max_file_size"] is None
    assert EncodingArguments(**table().encoding()) == EncodingArguments()
