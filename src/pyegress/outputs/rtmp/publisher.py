"""RTMP(S) as a stream output: how packets are packed, and how destinations are reached."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from pyegress.codecs import Kind
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.rtmp.address import RtmpAddress
from pyegress.outputs.rtmp.connection import TIMEOUT, RtmpConnection
from pyegress.outputs.rtmp.flv import FlvPackager
from pyegress.outputs.rtmp.twitch import TwitchIngests
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.encodings import AudioEncoding, VideoEncoding
from pyegress.plan.stream_urls import Destination
from pyegress.rtp.frame import EncodedFrame


class RtmpPublisher:
    """A `streaming.group.Publisher` of H.264 and AAC."""

    def __init__(
        self,
        kinds: frozenset[Kind],
        video: VideoEncoding | None,
        audio: AudioEncoding | None,
        spec_for: Callable[[EncodedFrame], StreamSpec],
        *,
        twitch: TwitchIngests | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """`tls` is what rtmps trusts (None: the system's certificates), `timeout` for each answer of a server."""
        self._packager = FlvPackager(kinds, video, audio, spec_for)
        self._twitch = twitch or TwitchIngests()
        self._tls = tls
        self._timeout = timeout

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit:
        return self._packager.package(kind, frame)

    async def connect(self, target: Destination) -> RtmpConnection:
        ingest = target.ingest or await self._twitch.ingest(target.twitch_key, target.shown)
        return await RtmpConnection.open(
            RtmpAddress.of(ingest), target.shown, self._packager.preamble, tls=self._tls, timeout=self._timeout
        )
