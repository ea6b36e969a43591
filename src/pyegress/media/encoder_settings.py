"""What each encoder is told: one table of measured settings per codec and quality; docs/encoding.md has the figures."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.plan.encodings import Quality, VideoCodec, VideoEncoding

#: FFmpeg's name of each encoder.
ENCODERS = {
    VideoCodec.H264: "libx264",
    VideoCodec.VP8: "libvpx",
    VideoCodec.VP9: "libvpx-vp9",
    VideoCodec.AV1: "libsvtav1",
}
NVENC = "h264_nvenc"
#: Key frames of x264 when nobody says a distance: its own default.
DEFAULT_GOP = 250

_VPX = {"deadline": "realtime", "lag-in-frames": "0", "error-resilient": "0"}


@dataclass(frozen=True, slots=True)
class X264:
    """A preset of x264 and what differs from it. `low_latency` holds for outputs that are watched as they are made."""

    preset: str
    params: str
    low_latency: str


_X264 = {
    Quality.ECONOMY: X264("ultrafast", "", ""),
    Quality.STANDARD: X264("superfast", "mbtree=1:rc-lookahead=5", "mbtree=0:rc-lookahead=0"),
    Quality.HIGH: X264("veryfast", "subme=4:ref=2", "subme=4:ref=2:mbtree=0:rc-lookahead=0"),
}
_NVENC_PRESETS = {Quality.ECONOMY: "p2", Quality.STANDARD: "p4", Quality.HIGH: "p6"}
#: Negative: a fixed speed. With a positive one libvpx adapts to the load of the moment, and pictures with it.
_VP8_CPU_USED = {Quality.ECONOMY: "-12", Quality.STANDARD: "-8", Quality.HIGH: "-4"}
_VP9_CPU_USED = {Quality.ECONOMY: "8", Quality.STANDARD: "8", Quality.HIGH: "7"}
_AV1_PRESETS = {Quality.ECONOMY: "11", Quality.STANDARD: "11", Quality.HIGH: "9"}


def options_for(
    encoding: VideoEncoding, *, gop: int, threads: int, low_latency: bool, hardware: bool
) -> dict[str, str]:
    """The options of the encoder, as FFmpeg names them. `gop` is the most frames from one key frame to the next."""
    quality = encoding.quality
    match encoding.codec:
        case VideoCodec.H264 if hardware:
            return _rate(encoding, gop) | _nvenc(encoding)
        case VideoCodec.H264:
            return _rate(encoding, gop) | _x264(encoding, low_latency=low_latency)
        case VideoCodec.VP8:
            # Without a bound beside the target, a picture that changes much would starve what follows.
            return _rate(encoding, gop) | _VPX | {"cpu-used": _VP8_CPU_USED[quality]}
        case VideoCodec.VP9:
            tiles = min(2, max(0, (encoding.width // 256).bit_length() - 1))
            tuned = {"cpu-used": _VP9_CPU_USED[quality], "row-mt": "1", "tile-columns": str(tiles)}
            # Its other rate controls, made for two passes, leave a quarter of the rate unused.
            least = {"minrate": str(encoding.bitrate * 1000)}
            return _rate(encoding, gop) | least | _VPX | tuned
        case VideoCodec.AV1:
            params = {"rtc": 1, "pred-struct": 1, "rc": 2, "scd": 0, "lp": min(threads, 6)}
            joined = ":".join(f"{name}={value}" for name, value in params.items())
            return {"preset": _AV1_PRESETS[quality], "svtav1-params": joined, "g": str(gop)}


def _rate(encoding: VideoEncoding, gop: int) -> dict[str, str]:
    bits = encoding.bitrate * 1000
    options = {"maxrate": str(bits), "bufsize": str(round(bits * encoding.buffer)), "g": str(gop), "bf": "0"}
    if encoding.constant_bitrate:
        options["minrate"] = str(bits)
    return options


def _x264(encoding: VideoEncoding, *, low_latency: bool) -> dict[str, str]:
    settings = _X264[encoding.quality]
    # Told that the rate is constant, it does not wait for the next picture to know how long one lasts.
    params = [settings.low_latency if low_latency else settings.params, "bframes=0", "force-cfr=1"]
    if encoding.constant_bitrate:
        params.append("nal-hrd=cbr")
    options = {
        "preset": settings.preset,
        "forced-idr": "1",
        "x264-params": ":".join(filter(None, params)),
    }
    if encoding.profile is not None:
        options["profile"] = encoding.profile.value
    if not encoding.scene_cuts:
        options["sc_threshold"] = "0"
    return options


def _nvenc(encoding: VideoEncoding) -> dict[str, str]:
    options = {
        "preset": _NVENC_PRESETS[encoding.quality],
        "tune": "ll",
        "rc": "cbr" if encoding.constant_bitrate else "vbr",
        "forced-idr": "1",
        "no-scenecut": "0" if encoding.scene_cuts else "1",
        "zerolatency": "1",
    }
    if encoding.profile is not None:
        options["profile"] = encoding.profile.value
    return options
