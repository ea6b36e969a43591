"""What an egress costs before it can be measured: cores by kind of request. Pure."""

from __future__ import annotations

from pyegress.plan.recording_plan import RecordingPlan, RequestType
from pyegress.service.config_sections import CostSection

#: Cores at 720p30, measured with three participants and rounded up; key of the configuration -> cores. Pages are the
#: figures of a browser with its display and sound.
MEASURED: dict[str, float] = {
    "room_composite_cpu_cost": 0.6,
    "audio_room_composite_cpu_cost": 0.15,
    "web_cpu_cost": 0.8,
    "audio_web_cpu_cost": 0.5,
    "participant_cpu_cost": 0.5,
    "track_composite_cpu_cost": 0.5,
    "track_cpu_cost": 0.05,
}
#: Sound is cheap whoever is heard.
_SOUND = 0.15
_PIXELS = 1280 * 720 * 30

_KEYS = {
    RequestType.ROOM_COMPOSITE: "room_composite_cpu_cost",
    RequestType.TEMPLATE: "room_composite_cpu_cost",
    RequestType.WEB: "web_cpu_cost",
    RequestType.PARTICIPANT: "participant_cpu_cost",
    RequestType.MEDIA: "participant_cpu_cost",
    RequestType.TRACK_COMPOSITE: "track_composite_cpu_cost",
    RequestType.TRACK: "track_cpu_cost",
}


def cost_key(plan: RecordingPlan) -> str:
    """The key of the configuration that says what a plan costs."""
    if plan.passthrough:
        return "track_cpu_cost"
    key = _KEYS[plan.type]
    if plan.with_video or key not in ("room_composite_cpu_cost", "web_cpu_cost"):
        return key
    return f"audio_{key}"


def memory_of(plan: RecordingPlan, configured: CostSection) -> float | None:
    """Gigabytes of its own, None for what every egress is said to take."""
    if cost_key(plan) == "audio_room_composite_cpu_cost" and not plan.needs_browser:
        return configured.sdk_audio_room_composite_memory_cost
    return None


def cost_of(plan: RecordingPlan, configured: CostSection, cores: float) -> float:
    """Cores. What is configured counts as it is; measured costs grow with the picture, up to the whole machine."""
    key = cost_key(plan)
    if key == "audio_room_composite_cpu_cost" and not plan.needs_browser:
        own = configured.sdk_audio_room_composite_cpu_cost
        if own is not None:
            return own
    given: float | None = getattr(configured, key)
    if given is not None:
        return given
    # A room that a page draws costs what pages do.
    cost = MEASURED["web_cpu_cost" if plan.needs_browser and plan.with_video else key]
    if plan.video is not None:
        cost *= max(0.25, plan.video.width * plan.video.height * plan.video.framerate / _PIXELS)
    elif not plan.passthrough:
        cost = min(cost, _SOUND) if not plan.needs_browser else cost
    return min(cost, cores)
