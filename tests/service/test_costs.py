from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from livekit.protocol import egress as pb

from pyegress.plan.form import EgressRequest
from pyegress.service.config_sections import CostSection
from pyegress.service.costs import MEASURED, cost_key, cost_of
from tests.plan.requests import FILE, composite, participant, planned, room, track, v2, v2_file

pytestmark = pytest.mark.unit

SOUND = pb.EncodedFileOutput(filepath="a.ogg")
CAMERA = pb.MediaSource(video_track_id="TR_1")


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (room(FILE), "room_composite_cpu_cost"),
        (room(SOUND, audio_only=True), "audio_room_composite_cpu_cost"),
        (pb.WebEgressRequest(url="https://h/", file_outputs=[FILE]), "web_cpu_cost"),
        (pb.WebEgressRequest(url="https://h/", audio_only=True, file_outputs=[SOUND]), "audio_web_cpu_cost"),
        (participant(FILE), "participant_cpu_cost"),
        (composite(FILE), "track_composite_cpu_cost"),
        (track("a"), "track_cpu_cost"),
        (v2(v2_file()), "room_composite_cpu_cost"),
        (v2(v2_file(), media=CAMERA), "participant_cpu_cost"),
        (v2(v2_file("a"), media=CAMERA, preset=pb.EncodingOptionsPreset.Value("PASSTHROUGH")), "track_cpu_cost"),
    ],
)
def test_the_key_of_each_kind(request_: EgressRequest, key: str) -> None:
    plan = planned(request_)
    assert cost_key(plan) == key
    changed: dict[str, Any] = {key: 1.25}
    assert cost_of(plan, replace(CostSection(), **changed), 4.0) == 1.25


def test_measured_costs_grow_with_the_picture_up_to_the_machine() -> None:
    usual = cost_of(planned(room(FILE)), CostSection(), 64.0)
    assert usual == MEASURED["room_composite_cpu_cost"]
    large = planned(room(FILE, preset=pb.EncodingOptionsPreset.H264_1080P_60))
    assert cost_of(large, CostSection(), 64.0) == pytest.approx(4.5 * usual)
    assert cost_of(large, CostSection(), 2.0) == 2.0
    tiny = planned(room(FILE, advanced=pb.EncodingOptions(width=16, height=16)))
    assert cost_of(tiny, CostSection(), 64.0) == pytest.approx(0.25 * usual)


def test_configured_costs_are_taken_as_they_are() -> None:
    large = planned(room(FILE, preset=pb.EncodingOptionsPreset.H264_1080P_60))
    assert cost_of(large, CostSection(room_composite_cpu_cost=4.0), 2.0) == 4.0


def test_sound_alone() -> None:
    plan = planned(room(SOUND, audio_only=True))
    assert cost_of(plan, CostSection(), 4.0) == MEASURED["audio_room_composite_cpu_cost"]
    assert cost_of(plan, CostSection(sdk_audio_room_composite_cpu_cost=0.7), 4.0) == 0.7
