"""Web pages: cost, frames and sync beside the plain recipe, which captures the same page by ffmpeg in the same run.

Run: python -m bench.web [--seconds 20] [--only 720p30,1080p30,720p60] [--three] [--twenty] [--drift]

The plain recipe is Xvfb, PulseAudio and Chromium as we start them, but at the 60 pictures a second that Chromium draws
where nobody says another rate, and ffmpeg (Debian's: scripts/setup --bench) with x11grab, pulse and the same settings
of x264. The page draws a frame number 30 or 60 times a second, and a flash with a beep each second. Cores
are those of everything that is started; memory is proportional (PSS). `--three` records three pages at once, `--twenty`
twenty one after the other, `--drift` one for ten minutes. Exit code 1 when a goal is missed on a quiet machine, 2
without ffmpeg, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.machine import Quiet, conclude, tree_cpu
from tests.support.analysis import (
    av_offsets,
    beep_onsets,
    flash_onsets,
    numbers_of,
    read_pictures,
    read_sound,
)
from tests.support.page_server import PageServer
from tests.system.web_pages import traces

from pyegress.browser.browser import Browser
from pyegress.browser.page import Page
from pyegress.clock import monotonic, wall
from pyegress.media.encoder_settings import options_for
from pyegress.media.video_encoder import threads_for
from pyegress.plan.browser_options import BrowserOptions
from pyegress.plan.encodings import EncodingWish, VideoCodec, VideoEncoding, video_encoding
from pyegress.process_tree import descendants

_SETTLE = 3.0
_ROUNDS = 2
#: What Chromium draws where its display has no rate of its own, pictures per second.
_USUAL = 60
#: Goals: of the plain recipe's cores; share of frames; of repeated ones; seconds to the first frame; ms.
COST, FRAMES, REPEATED, FIRST, OFFSET = 0.9, 0.99, 0.01, 2.5, 45.0


@dataclass(frozen=True, slots=True)
class Scene:
    width: int
    height: int
    fps: int


SCENES = {"720p30": Scene(1280, 720, 30), "1080p30": Scene(1920, 1080, 30), "720p60": Scene(1280, 720, 60)}


@dataclass(frozen=True, slots=True)
class Used:
    """Cores and MB."""

    cores: float
    memory: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file shows: shares of the page's frames, and how late its sound is, ms."""

    frames: float
    repeated: float
    offsets: tuple[float, ...]

    @property
    def p95(self) -> float:
        return sorted(map(abs, self.offsets))[int(0.95 * (len(self.offsets) - 1))] if self.offsets else float("nan")

    def __str__(self) -> str:
        late = statistics.median(self.offsets) if self.offsets else float("nan")
        return (
            f"frames {self.frames:.2%}, repeated {self.repeated:.2%}, sound {late:+.0f} ms (p95 {self.p95:.0f}, "
            f"{len(self.offsets)} beeps)"
        )


def look(path: Path, after: float = 1.0) -> Seen:
    """Read a file from second `after` on: a page that has just been loaded is not quiet yet."""
    pictures = [picture for picture in read_pictures(path) if picture.at >= after]
    numbers = numbers_of(pictures)
    steps = [later - former for former, later in pairwise(numbers)]
    span = numbers[-1] - numbers[0] + 1
    offsets = av_offsets(flash_onsets(pictures), beep_onsets(read_sound(path), 500.0))
    return Seen(len(set(numbers)) / span, steps.count(0) / len(numbers), tuple(1000 * each for each in offsets))


def together(several: Iterable[Seen]) -> Seen:
    """What files of the same length show."""
    seen = list(several)
    offsets = tuple(offset for one in seen for offset in one.offsets)
    return Seen(statistics.mean(one.frames for one in seen), statistics.mean(one.repeated for one in seen), offsets)


async def use(pid: int, seconds: float) -> Used:
    """What a process and everything below it take over some seconds."""
    before, begun = tree_cpu(pid), monotonic()
    await asyncio.sleep(seconds)
    cores = (tree_cpu(pid) - before) / (monotonic() - begun)
    return Used(cores, sum(map(_pss, descendants(pid))))


def _pss(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


async def ours(url: str, scene: Scene, output: Path, seconds: float) -> tuple[Used, float]:
    """Record as users do; what it took, and seconds from the request to the first frame."""
    command = [sys.executable, "-m", "pyegress", "record", "web", "--url", url, "-o", str(output), "--quiet", "--json"]
    command += ["--width", str(scene.width), "--height", str(scene.height), "--fps", str(scene.fps)]
    asked = wall()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    while output.name not in os.listdir(output.parent):
        await asyncio.sleep(0.05)
        assert process.returncode is None, "it ended before it began"
    await asyncio.sleep(_SETTLE)
    used = await use(process.pid, seconds)
    process.terminate()
    assert process.stdout is not None
    out = (await process.stdout.read()).decode()
    await process.wait()
    started = float(out.partition('"started_at": ')[2].partition(",")[0])
    return used, started - asked


async def recipe(url: str, scene: Scene, output: Path, seconds: float) -> Used:
    """The same page by ffmpeg."""
    options = BrowserOptions()
    browser = await Browser.open(options, width=scene.width, height=scene.height, framerate=_USUAL, udp=False)
    page = Page(browser, options, on_signal=lambda signal: None, on_warning=print)
    try:
        await page.attach()
        await page.load(url)
        environment = {"PATH": os.environ["PATH"], **browser.display.environment, **browser.sound.environment}
        ffmpeg = await asyncio.create_subprocess_exec(
            *_ffmpeg(scene, browser.display.number, output),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(_SETTLE)
        (keeper,) = [pid for pid in descendants(os.getpid()) if _is_keeper(pid)]
        both = await asyncio.gather(use(keeper, seconds), use(ffmpeg.pid, seconds))
        ffmpeg.terminate()
        await ffmpeg.wait()
        return Used(sum(each.cores for each in both), sum(each.memory for each in both))
    finally:
        await page.aclose()
        await browser.aclose()


def _is_keeper(pid: int) -> bool:
    with suppress(OSError):
        return b"keeper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _encoding(scene: Scene) -> VideoEncoding:
    wish = EncodingWish(width=scene.width, height=scene.height, framerate=scene.fps)
    return video_encoding(VideoCodec.H264, wish, rtmp_or_srt=False, rtmp=False)


def _ffmpeg(scene: Scene, display: int, output: Path) -> list[str]:
    encoding = _encoding(scene)
    threads = threads_for(encoding)
    settings = options_for(encoding, gop=250, threads=threads, low_latency=False, hardware=False)
    rate = str(encoding.bitrate * 1000)
    command = ["ffmpeg", "-v", "error", "-y", "-thread_queue_size", "512"]
    command += ["-f", "x11grab", "-framerate", str(scene.fps), "-video_size", f"{scene.width}x{scene.height}"]
    command += [
        "-draw_mouse",
        "0",
        "-i",
        f":{display}",
        "-thread_queue_size",
        "512",
        "-f",
        "pulse",
        "-i",
        "page.monitor",
    ]
    command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-b:v", rate, "-threads", str(threads)]
    for name, value in settings.items():
        command += [f"-{name}", value]
    return [*command, "-c:a", "aac", "-b:a", "128k", str(output)]


async def compare(name: str, scene: Scene, seconds: float, folder: Path, server: PageServer) -> list[str]:
    """Both in turn, twice: what a machine gives in the same seconds changes by more than what is to be told apart."""
    url = server.url(f"/frames?fps={scene.fps}")
    our_use, their_use, firsts = list[Used](), list[Used](), list[float]()
    for number in range(_ROUNDS):
        used, first = await ours(url, scene, folder / f"{name}-{number}.mp4", seconds / _ROUNDS)
        our_use.append(used)
        firsts.append(first)
        their_use.append(await recipe(url, scene, folder / f"{name}-{number}-recipe.mp4", seconds / _ROUNDS))
    cores, their_cores = (sum(use.cores for use in uses) / _ROUNDS for uses in (our_use, their_use))
    memory, their_memory = (max(use.memory for use in uses) for uses in (our_use, their_use))
    seen = together(look(folder / f"{name}-{number}.mp4") for number in range(_ROUNDS))
    theirs = together(look(folder / f"{name}-{number}-recipe.mp4") for number in range(_ROUNDS))
    first, share = max(firsts), cores / their_cores
    print(f"{name}: {cores:.2f} core, {memory:.0f} MB, first frame after {first:.2f} s; {seen}")
    print(f"  recipe: {their_cores:.2f} core, {their_memory:.0f} MB; {theirs}; ours is {share:.2f} of it")
    missed = [f"{name}: {share:.2f} of the recipe's cores"] if share > COST else []
    missed += [f"{name}: {seen.frames:.2%} of the frames"] if seen.frames < FRAMES else []
    missed += [f"{name}: {seen.repeated:.2%} repeated"] if seen.repeated > REPEATED else []
    missed += [f"{name}: sound p95 {seen.p95:.0f} ms"] if not seen.p95 <= OFFSET else []
    missed += [f"{name}: first frame after {first:.2f} s"] if first > FIRST else []
    return missed


async def three(seconds: float, folder: Path, server: PageServer) -> list[str]:
    """Three at once: their numbers stay in order."""
    scene, url = SCENES["720p30"], server.url("/frames")
    paths = [folder / f"three-{number}.mp4" for number in range(3)]
    await asyncio.gather(*(ours(url, scene, path, seconds) for path in paths))
    missed = []
    for path in paths:
        numbers = numbers_of(read_pictures(path))
        backwards = sum(later < former for former, later in pairwise(numbers))
        print(f"three at once: {look(path)}, {backwards} out of order")
        missed += [f"three at once: {backwards} frames out of order"] if backwards else []
    return missed


async def twenty(folder: Path, server: PageServer) -> list[str]:
    """Twenty one after the other: nothing is left."""
    before, url = traces(), server.url("/frames")
    for number in range(20):
        await ours(url, Scene(640, 360, 30), folder / f"twenty-{number}.mp4", 0.5)
    left = sorted(traces() - before)
    print(f"twenty one after the other: {f'left: {left}' if left else 'nothing is left'}")
    return [f"left behind: {left}"] if left else []


async def drift(folder: Path, server: PageServer) -> list[str]:
    """Ten minutes: sound and picture stay together."""
    await ours(server.url("/frames"), Scene(640, 360, 30), folder / "drift.mp4", 600.0)
    seen = look(folder / "drift.mp4", 5.0)
    tenth = len(seen.offsets) // 10
    moved = statistics.median(seen.offsets[-tenth:]) - statistics.median(seen.offsets[:tenth])
    print(f"ten minutes: {seen}; from the first minute to the last {moved:+.0f} ms")
    return [f"drift of {moved:.0f} ms"] if abs(moved) > 10 else []


async def main(arguments: argparse.Namespace) -> int:
    scenes = list(filter(None, arguments.only.split(",")))
    if scenes and shutil.which("ffmpeg") is None:
        print('no ffmpeg to compare with: run scripts/setup --bench (apt-get install ffmpeg), or give --only ""')
        return 2
    quiet, missed = Quiet(), list[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with PageServer() as server:
            if scenes:  # what is read from the disk for the first time, and compiled, is nobody's cost
                await ours(server.url("/frames"), Scene(640, 360, 30), folder / "before.mp4", 0.5)
            for scene in scenes:
                missed += await compare(scene, SCENES[scene], arguments.seconds, folder, server)
            if arguments.three:
                missed += await three(arguments.seconds, folder, server)
            if arguments.twenty:
                missed += await twenty(folder, server)
            if arguments.drift:
                missed += await drift(folder, server)
    return conclude(missed, quiet.foreign())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default="720p30,1080p30")
    for flag in ("three", "twenty", "drift"):
        parser.add_argument(f"--{flag}", action="store_true")
    sys.exit(asyncio.run(main(parser.parse_args())))
