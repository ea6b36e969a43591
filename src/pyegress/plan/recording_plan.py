"""The frozen plan of one egress: what a request means once every check is passed and every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from math import gcd

from pyegress.clock import Wall
from pyegress.codecs import Kind
from pyegress.plan.browser_options import DEFAULT_BROWSER, BrowserOptions
from pyegress.plan.containers import IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP, Container
from pyegress.plan.copy_plan import DEFAULT_GRACE, DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT, Connection
from pyegress.plan.encodings import AudioEncoding, EncodingWish, VideoCodec, VideoEncoding
from pyegress.plan.output_names import Naming, SegmentNames
from pyegress.plan.sources import PageSource, Source, TemplateSource
from pyegress.plan.storage import Storage, StorageDefaults
from pyegress.plan.stream_urls import Destination, StreamProtocol
from pyegress.plan.websocket_format import USUAL, WebsocketFormat

#: For how long a destination of a stream that was lost is tried again, seconds.
DEFAULT_STREAM_RETRY = 60.0


class RequestType(Enum):
    """The kind of a request; the value is its name in metrics and configuration."""

    ROOM_COMPOSITE = "room_composite"
    WEB = "web"
    PARTICIPANT = "participant"
    TRACK_COMPOSITE = "track_composite"
    TRACK = "track"
    TEMPLATE = "template"
    MEDIA = "media"


# Outputs


@dataclass(frozen=True, slots=True)
class FileOutput:
    """One file. `container` None is decided by the codecs that arrive (copies), see `file_names.copy_target`.

    The path has its final extension only with a container.
    """

    path: str
    container: Container | None
    storage: Storage
    manifest: bool = True
    any_extension: bool = False


class SegmentFormat(Enum):
    """What HLS segments are."""

    MPEG_TS = "MPEG-TS"
    FMP4 = "fMP4"


class NameSuffix(Enum):
    """What the names of segments and images end in before their extension."""

    INDEX = "index"
    TIMESTAMP = "timestamp"
    #: Images: always the same name.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SegmentOutput:
    """HLS. `duration` of segments and `part` of the parts of low latency HLS, 0 without any, are in seconds."""

    names: SegmentNames
    format: SegmentFormat
    suffix: NameSuffix
    duration: int
    storage: Storage
    manifest: bool = True
    part: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamOutput:
    """One stream to any number of destinations, more of which may be added later."""

    protocol: StreamProtocol
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class WebsocketOutput:
    """Sound to WebSocket servers, in `format` unless their URLs ask for another."""

    destinations: tuple[Destination, ...]
    format: WebsocketFormat = USUAL


class ImageFormat(Enum):
    """What images are: extension and content type."""

    JPEG = IMAGE_JPEG
    PNG = IMAGE_PNG
    WEBP = IMAGE_WEBP

    @property
    def extension(self) -> str:
        return self.value[0]


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """A picture every `interval` seconds. Width and height 0 follow the picture. `prefix` has no extension."""

    prefix: str
    suffix: NameSuffix
    interval: int
    width: int
    height: int
    storage: Storage
    manifest: bool = True
    format: ImageFormat = ImageFormat.JPEG


Output = FileOutput | SegmentOutput | StreamOutput | WebsocketOutput | ImageOutput


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that is told of this egress. `signing_key` is the name of an API key, not a secret."""

    url: str
    signing_key: str
    include_events: tuple[str, ...] = ()
    exclude_events: tuple[str, ...] = ()


# What the service says


@dataclass(frozen=True, slots=True)
class LimitRule:
    """The most that a request may take which fits: seconds, and bytes of its file; 0 is without limit.

    `rooms` is a pattern of names, `types` are kinds of requests, () is all.
    """

    rooms: str = "*"
    types: tuple[RequestType, ...] = ()
    duration: float = 0.0
    file_size: int = 0

    def fits(self, type: RequestType, room_name: str) -> bool:
        """Whether it is about such a request."""
        return (not self.types or type in self.types) and fnmatchcase(room_name, self.rooms)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Longest durations in seconds for each kind of output, and most bytes of files; 0 is without limit.

    Of what `rules` say more, the shortest applies.
    """

    file: float = 0.0
    stream: float = 0.0
    segment: float = 0.0
    image: float = 0.0
    file_size: int = 0
    rules: tuple[LimitRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Waits:
    """How long an egress waits, in seconds; None without limit.

    `grace` is how long a participant may be away, `reconnect` how long a lost connection is tried again, `stream` how
    long a destination of a stream is; `room` is for a room that does not exist yet, `start_signal` for what a page
    writes when it is ready.
    """

    tracks: float | None = DEFAULT_WAIT
    participant: float | None = None
    grace: float = DEFAULT_GRACE
    reconnect: float = DEFAULT_RECONNECT_WINDOW
    room: float | None = DEFAULT_WAIT
    start_signal: float | None = None
    stream: float = DEFAULT_STREAM_RETRY


@dataclass(frozen=True, slots=True)
class Service:
    """What the configuration of the service adds to every request.

    `template_base` "" draws the default layouts natively, a URL has that page draw them. `webm_codec` is encoded when
    a WebM file is asked for without a codec: requests have no name for VP9 and AV1. With `any_extension` the name of
    a file decides its container whatever it is (`.mov`, `.m4a`, `.ogg`), as in the foreground; without, an API
    client's `.mp4` and `.ogg` follow what is recorded, and only `.webm`, `.wav` and `.flac` decide. Without `overwrite`
    a local file that exists is kept, and its name refused. `encoding` is what requests mean that say nothing of it.
    """

    ws_url: str = ""
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    template_base: str = ""
    storage: StorageDefaults = field(default_factory=StorageDefaults)
    limits: SessionLimits = SessionLimits()
    waits: Waits = Waits()
    webm_codec: VideoCodec = VideoCodec.VP8
    encoding: EncodingWish = field(default_factory=EncodingWish)
    any_extension: bool = False
    overwrite: bool = True
    websocket: WebsocketFormat = USUAL
    #: Requests of any form may send sound to WebSockets, not only those of one track and those of version 2.
    websocket_streams: bool = False
    #: Seconds of the parts of low latency HLS, 0 without any.
    hls_part: float = 0.0
    browser: BrowserOptions = DEFAULT_BROWSER


@dataclass(frozen=True, slots=True)
class Start:
    """What comes beside a request: ids, the time, a ready token, and options of ours that go before the request's."""

    egress_id: str
    at: Wall
    room_id: str = ""
    #: For V2 requests that name no room.
    room_name: str = ""
    token: str = field(default="", repr=False)
    ws_url: str = ""
    retry_count: int = 0
    encoding: EncodingWish = field(default_factory=EncodingWish)
    audio_only: bool = False
    video_only: bool = False


# The plan


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """One egress. `audio` and `video` are None when nothing of the kind is encoded.

    With `passthrough` packets are copied and both are None, but for the `audio` of outputs that take no sound of rooms
    as it is (streams, MPEG-TS); `with_audio` and `with_video` say what is recorded either
    way (both, for one track whose kind is known only after joining). `max_duration` is in seconds, `max_file_size` in
    bytes, None is without limit.
    """

    egress_id: str
    type: RequestType
    source: Source
    connection: Connection | None
    room_name: str
    room_id: str
    started_at: Wall
    with_audio: bool
    with_video: bool
    audio: AudioEncoding | None
    video: VideoEncoding | None
    outputs: tuple[Output, ...]
    naming: Naming
    webhooks: tuple[Webhook, ...] = ()
    backup: Storage | None = None
    passthrough: bool = False
    max_duration: float | None = None
    max_file_size: int | None = None
    waits: Waits = Waits()
    retry_count: int = 0
    overwrite: bool = True
    browser: BrowserOptions = DEFAULT_BROWSER

    @property
    def needs_browser(self) -> bool:
        """Whether a page is captured."""
        return isinstance(self.source, TemplateSource | PageSource)

    @property
    def live(self) -> bool:
        """Whether somebody watches or listens meanwhile, and every moment counts."""
        return any(
            isinstance(output, StreamOutput | WebsocketOutput)
            or (isinstance(output, SegmentOutput) and output.part > 0)
            for output in self.outputs
        )

    @property
    def encoded(self) -> frozenset[Kind]:
        """What some output wants encoded: images are made of the pictures, WebSockets get the sound as it is."""
        if not any(isinstance(output, FileOutput | SegmentOutput | StreamOutput) for output in self.outputs):
            return frozenset()
        both = ((Kind.VIDEO, self.video), (Kind.AUDIO, self.audio))
        return frozenset(kind for kind, encoding in both if encoding is not None)

    @property
    def copied(self) -> frozenset[Kind]:
        """What segments and streams get as it was published."""
        if not self.passthrough or not self.copies_live:
            return frozenset()
        kinds = ((Kind.VIDEO, self.with_video), (Kind.AUDIO, self.with_audio and self.audio is None))
        return frozenset(kind for kind, taken in kinds if taken)

    @property
    def copies_live(self) -> bool:
        """Whether packets are copied to anything but one file, whose place in it can be mended later."""
        return self.passthrough and any(isinstance(output, SegmentOutput | StreamOutput) for output in self.outputs)

    @property
    def image_interval(self) -> int:
        """Seconds of which the intervals of all images are multiples; 0 without images."""
        return gcd(*(output.interval for output in self.outputs if isinstance(output, ImageOutput)))

    @property
    def raw_sound(self) -> bool:
        """Whether an output wants sound as it is mixed."""
        return any(isinstance(output, WebsocketOutput) for output in self.outputs)

    @property
    def manifest(self) -> bool:
        """Whether a manifest is written."""
        return any(getattr(output, "manifest", False) for output in self.outputs) or self.backup is not None
