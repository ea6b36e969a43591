"""The Python API of recording: one function for each kind of recording, each an async context manager.

    async with pyegress.record_track(
        url="ws://localhost:7880", api_key="devkey", api_secret="secret",
        room="standup", identity="alice", source="camera", output="alice.webm",
    ) as recording:
        async for progress in recording.progress():
            print(progress.elapsed, progress.bytes_written)
            if progress.elapsed > 60:
                recording.stop()
    print(recording.result.files)

Leaving the block stops the recording and finishes its files, also on an exception. Errors do not raise unless asked
for: `result.error` says what went wrong beside `result.files`, what was recorded nevertheless; `result.check()` raises.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from pyegress.clock import wall
from pyegress.layouts.layout import Layout
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.plan.copy_plan import DEFAULT_GRACE, DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT, Connection, CopyPlan
from pyegress.plan.encoding_arguments import EncodingArguments
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks, Selection, TrackPair
from pyegress.plan.stream_urls import StreamProtocol, protocol_of
from pyegress.worker.copy_arguments import asked_of_encoders, is_one_file, place_of_copies
from pyegress.worker.progress import Progress, RecordingResult

if TYPE_CHECKING:
    from pyegress.plan.foreground import Session
    from pyegress.plan.recording_plan import RecordingPlan
    from pyegress.worker.egress_session import EgressSession
    from pyegress.worker.output_arguments import OutputPath, OutputPaths


class EncodingOptions(TypedDict, total=False):
    """How a recording is encoded, as `EncodingArguments` explains."""

    preset: str
    width: int
    height: int
    fps: int
    video_bitrate: int
    audio_bitrate: int
    video_codec: str
    audio_codec: str
    key_frame_interval: float
    quality: str
    hardware: str


class Recording:
    """A recording that runs: watch it, stop it, wait for its result. Used as `async with`."""

    def __init__(self, plan: CopyPlan | RecordingPlan) -> None:
        self.plan = plan
        self._session: EgressSession | None = None
        self._stopped = False
        self._task: asyncio.Task[RecordingResult] | None = None
        self._watchers: set[asyncio.Queue[Progress | None]] = set()

    async def __aenter__(self) -> Self:
        # It is much to load, and a mistake in the arguments is answered without.
        from pyegress.worker.foreground_sessions import session_of

        self._session = session_of(self.plan, self._publish)
        if self._stopped:
            self._session.stop(EndReason.STOPPED)
        self._task = asyncio.create_task(self._run(self._session), name="recording")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()
        await self.wait()

    @property
    def now(self) -> Progress:
        """How it stands at this moment."""
        return self._session.progress() if self._session is not None else Progress(RecordingState.STARTING, 0.0, 0)

    @property
    def result(self) -> RecordingResult:
        """The result, once the recording has ended. RuntimeError before."""
        if self._task is None or not self._task.done():
            raise RuntimeError("the recording has not ended yet")
        return self._task.result()

    def stop(self) -> None:
        """Take no more media and finish the files. Returns at once; `wait` for the result. Idempotent."""
        self._stopped = True
        if self._session is not None:
            self._session.stop(EndReason.STOPPED)

    def give_up(self) -> None:
        """Stop, and wait for no upload: what is not there is kept on this machine, and the error says where."""
        self.stop()
        give_up = getattr(self._session, "give_up", None)
        if give_up is not None:
            give_up()

    async def wait(self) -> RecordingResult:
        """Wait for the end, by itself or by `stop`."""
        assert self._task is not None, "use `async with`"
        return await asyncio.shield(self._task)

    async def progress(self) -> AsyncIterator[Progress]:
        """A snapshot some times a second until the end; a slow reader gets the newest one."""
        queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._watchers.add(queue)
        try:
            while self._task is None or not self._task.done() or not queue.empty():
                newest = snapshot = await queue.get()
                while not queue.empty() and snapshot is not None:
                    if (snapshot := queue.get_nowait()) is not None:
                        newest = snapshot
                if newest is not None:
                    yield newest
                if snapshot is None:
                    return
        finally:
            self._watchers.discard(queue)

    async def _run(self, session: EgressSession) -> RecordingResult:
        try:
            return await session.run()
        finally:
            for queue in self._watchers:
                queue.put_nowait(None)

    def _publish(self, snapshot: Progress) -> None:
        for queue in self._watchers:
            queue.put_nowait(snapshot)


def record_track(
    *,
    room: str,
    output: OutputPath,
    track_id: str = "",
    identity: str = "",
    source: str = "",
    url: str = "",
    api_key: str = "",
    api_secret: str = "",
    token: str = "",
    duration: float | None = None,
    wait: float | None = DEFAULT_WAIT,
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW,
    overwrite: bool = False,
) -> Recording:
    """Record one track without transcoding, by its id or by who publishes it and its source.

    `source` is camera, microphone, screen_share or screen_share_audio. The extension of `output` must fit the codec;
    without one the fitting extension is added (H.264, H.265, AV1: .mp4; VP8, VP9: .webm; Opus: .ogg; G.711: .wav).
    A `ws://` or `wss://` URL gets the decoded sound of the track instead.
    Ends when the track is unpublished or its participant leaves, after `duration` seconds, or at `stop`.
    `wait`: seconds that the track may be missing (None: no limit); `reconnect_window`: seconds that a lost connection
    is tried again; `overwrite` replaces files that exist. Missing url, key and secret are taken from
    LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. Raises InvalidRequest for arguments that make no sense.
    """
    selection = OneTrack(track_id=track_id, identity=identity, source=source)
    connection = _connection(room, url, api_key, api_secret, token)
    if isinstance(output, str) and protocol_of(output) is StreamProtocol.WEBSOCKET:
        from pyegress.plan.foreground import plan_track_sound

        session = foreground_session(connection, output, duration, wait, reconnect_window, overwrite, None)
        return Recording(plan_track_sound(session, selection, output))
    return Recording(_plan(connection, selection, output, duration, wait, reconnect_window, overwrite))


def record_participant(
    *,
    room: str,
    identity: str,
    output: OutputPaths,
    screen_share: bool = False,
    url: str = "",
    api_key: str = "",
    api_secret: str = "",
    token: str = "",
    duration: float | None = None,
    wait: float | None = None,
    grace: float = DEFAULT_GRACE,
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW,
    max_file_size: int | None = None,
    overwrite: bool = False,
    copy: bool = False,
    **encoding: Unpack[EncodingOptions],
) -> Recording:
    """Record a participant's camera and microphone (or screen share and its sound) into one file.

    Encoded, one MP4 whatever is published, or what the extension of `output` and `encoding` say. With `copy` (or the
    preset passthrough) packets are written as they were published, as follows.

    Waits for the participant and the tracks, without limit unless `wait` says one; survives mute, unpublish and
    republish; ends when the participant has left and is not back within `grace` seconds. H.264 or AV1 with Opus make
    an MP4, VP8, VP9 or AV1 with Opus a WebM. A codec that changes goes on in a further file. HLS and streams are copied
    too, where the codecs allow; their sound becomes AAC for MPEG-TS, RTMP and SRT. Else as `record_track`.
    """
    selection = ParticipantTracks(identity=identity, screen_share=screen_share)
    connection = _connection(room, url, api_key, api_secret, token)
    asked = asked_of_encoders(EncodingArguments(**encoding), max_file_size, copy=copy)
    if not (asked.copies and is_one_file(output)):
        from pyegress.plan.foreground import plan_participant

        session = foreground_session(
            connection, output, duration, wait, reconnect_window, overwrite, max_file_size, grace
        )
        return Recording(plan_participant(session, asked, identity=identity, screen_share=screen_share))
    return Recording(_plan(connection, selection, output, duration, wait, reconnect_window, overwrite, grace))


def record_track_composite(
    *,
    room: str,
    output: OutputPaths,
    audio_track_id: str = "",
    video_track_id: str = "",
    url: str = "",
    api_key: str = "",
    api_secret: str = "",
    token: str = "",
    duration: float | None = None,
    wait: float | None = DEFAULT_WAIT,
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW,
    max_file_size: int | None = None,
    overwrite: bool = False,
    copy: bool = False,
    **encoding: Unpack[EncodingOptions],
) -> Recording:
    """Record one audio and one video track by their ids into one file. Ends with its tracks.

    Encoded or with `copy` as published, as `record_participant` does. Else as `record_track`.
    """
    selection = TrackPair(audio_track_id=audio_track_id, video_track_id=video_track_id)
    connection = _connection(room, url, api_key, api_secret, token)
    asked = asked_of_encoders(EncodingArguments(**encoding), max_file_size, copy=copy)
    if not (asked.copies and is_one_file(output)):
        from pyegress.plan.foreground import plan_track_composite

        session = foreground_session(connection, output, duration, wait, reconnect_window, overwrite, max_file_size)
        plan = plan_track_composite(session, asked, audio_track_id=audio_track_id, video_track_id=video_track_id)
        return Recording(plan)
    return Recording(_plan(connection, selection, output, duration, wait, reconnect_window, overwrite))


def record_tracks(
    *,
    room: str,
    output: OutputPath,
    url: str = "",
    api_key: str = "",
    api_secret: str = "",
    token: str = "",
    duration: float | None = None,
    wait: float | None = DEFAULT_WAIT,
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW,
    overwrite: bool = False,
) -> Recording:
    """Record every track of everybody into the folder `output`, one file each, as they come and go.

    `index.json` there names for each file whose it is, its source and codec, and start and end on one clock. Ends when
    the room ends, after `duration` seconds, or at `stop`. Else as `record_track`.
    """
    connection = _connection(room, url, api_key, api_secret, token)
    return Recording(_plan(connection, EveryTrack(), output, duration, wait, reconnect_window, overwrite))


def record_room(
    *,
    room: str,
    output: OutputPaths,
    layout: str = "",
    audio_only: bool = False,
    video_only: bool = False,
    audio_mixing: str = "",
    custom_base_url: str = "",
    url: str = "",
    api_key: str = "",
    api_secret: str = "",
    token: str = "",
    duration: float | None = None,
    wait: float | None = DEFAULT_WAIT,
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW,
    max_file_size: int | None = None,
    overwrite: bool = False,
    **encoding: Unpack[EncodingOptions],
) -> Recording:
    """Record everybody in a room into one file: a layout of all pictures and the mix of all sound.

    `layout` is grid, speaker or single-speaker, each with -light too and with options (`grid?names=1&gap=8`); the
    extension of `output` decides the container, .mp4 without one (`audio_only`: .ogg). Ends when the room ends, at a
    limit (`max_file_size` in bytes), or at `stop`. `wait` is for the room alone. Else as `record_track`.
    With `custom_base_url` a web page draws the room, in Chromium: `layout` is whatever it knows, and `wait` is for the
    START_RECORDING that it writes to its console.
    """
    if not custom_base_url:
        Layout.parse(layout)
    connection = _connection(room, url, api_key, api_secret, token)
    asked = EncodingArguments(**encoding)
    from pyegress.plan.foreground import plan_room

    session = foreground_session(connection, output, duration, wait, reconnect_window, overwrite, max_file_size)
    kinds: dict[str, Any] = {"audio_only": audio_only, "video_only": video_only}
    kinds["custom_base_url"] = custom_base_url
    return Recording(plan_room(session, asked, layout=layout, audio_mixing=audio_mixing, **kinds))


def foreground_session(
    connection: Connection | None,
    output: OutputPaths,
    duration: float | None,
    wait: float | None,
    reconnect_window: float,
    overwrite: bool,
    max_file_size: int | None,
    grace: float = DEFAULT_GRACE,
) -> Session:
    """What every recording in the foreground is told."""
    from pyegress.plan.foreground import Session
    from pyegress.room.options import new_egress_id
    from pyegress.worker.output_arguments import output_words

    return Session(
        connection=connection,
        outputs=output_words(output),
        environment=os.environ,
        at=wall(),
        egress_id=new_egress_id(),
        duration=duration,
        max_file_size=max_file_size,
        wait=wait,
        grace=grace,
        reconnect_window=reconnect_window,
        overwrite=overwrite,
    )


def _connection(room: str, url: str, api_key: str, api_secret: str, token: str) -> Connection:
    environment = os.environ
    return Connection(
        url=url or environment.get("LIVEKIT_URL", ""),
        room=room,
        # Who gives a token wants to join with it, whatever else is set.
        api_key="" if token else api_key or environment.get("LIVEKIT_API_KEY", ""),
        api_secret="" if token else api_secret or environment.get("LIVEKIT_API_SECRET", ""),
        token=token,
    )


def _plan(
    connection: Connection,
    selection: Selection,
    output: OutputPaths,
    duration: float | None,
    wait: float | None,
    reconnect_window: float,
    overwrite: bool,
    grace: float = DEFAULT_GRACE,
) -> CopyPlan:
    path, storage = place_of_copies(output, many=isinstance(selection, EveryTrack))
    return CopyPlan(
        connection=connection,
        selection=selection,
        output=path,
        storage=storage,
        duration=duration,
        wait=wait,
        grace=grace,
        reconnect_window=reconnect_window,
        overwrite=overwrite,
    )
