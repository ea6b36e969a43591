"""A supervisor in a process of its own, which tests kill: starts one egress, makes a file once it is active."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.lifecycle.egress import EgressStatus, status_of
from pyegress.service.config import ServiceConfig
from pyegress.service.egress_service import EgressStart
from pyegress.service.supervisor import Supervisor


async def main(folder: Path, room: str) -> None:
    config = ServiceConfig(
        ws_url=os.environ["LIVEKIT_URL"],
        api_key=os.environ["LIVEKIT_API_KEY"],
        api_secret=os.environ["LIVEKIT_API_SECRET"],
        local_directory=str(folder / "files"),
        state_directory=str(folder / "state"),
        spare_workers=0,
    )
    request = pb.RoomCompositeEgressRequest(
        room_name=room,
        advanced=pb.EncodingOptions(width=320, height=180),
        file_outputs=[pb.EncodedFileOutput(filepath="orphan.mp4")],
    )
    active = asyncio.Event()

    def hear(info: pb.EgressInfo) -> None:
        if status_of(info) is EgressStatus.ACTIVE:
            active.set()

    async with Supervisor(config) as supervisor:
        supervisor.listen(hear)
        await supervisor.start(EgressStart("EG_orphan", request))
        await active.wait()
        (folder / "active").touch()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
