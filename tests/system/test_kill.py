"""kill -9 at some moments of recording and finishing; `bench.kill` does it at many."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.room.events import Source
from tests.support.livekit_server import LiveKitServer
from tests.system.killing import CAUGHT_UP, Fate, KilledService, Victim, check, leftovers, survive
from tests.system.scenes import clip, prepare, publishing

pytestmark = pytest.mark.system

SMALL = pb.EncodingOptions(width=320, height=180, framerate=30)


async def test_nothing_is_lost_and_the_status_says_what_happened(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    room = "killed"
    prepare("ada", clip())
    async with publishing(livekit_server, room) as ada, KilledService(livekit_server, tmp_path) as service:

        def composite(name: str, **fields: object) -> pb.RoomCompositeEgressRequest:
            file = pb.EncodedFileOutput(filepath=name)
            return pb.RoomCompositeEgressRequest(room_name=room, advanced=SMALL, file_outputs=[file], **fields)  # type: ignore[arg-type]

        track = pb.TrackEgressRequest(
            room_name=room, track_id=ada.sids[Source.CAMERA], file=pb.DirectFileOutput(filepath="track")
        )
        cases = await survive(
            service,
            [
                Fate(composite("powercut.mp4"), Victim.EVERYBODY, CAUGHT_UP + 0.4),
                Fate(track, Victim.EVERYBODY, 1.3),
                Fate(composite("sound.ogg", audio_only=True), Victim.WORKER, CAUGHT_UP + 0.7),
                Fate(composite("ending.mp4"), Victim.WORKER, 0.02, ending=True),
            ],
        )
        assert {case.info.egress_id: check(case) for case in cases} == {case.egress_id: [] for case in cases}
        assert leftovers(service, cases) == []
