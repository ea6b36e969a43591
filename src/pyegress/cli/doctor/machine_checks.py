"""This machine: cores and memory against what egresses cost, programs, folders, ports, descriptors."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyegress.browser.programs import find_programs, missing_programs, shared_memory_is_small
from pyegress.cli.doctor.findings import Finding, bad, good, skipped, warning
from pyegress.cli.doors import wants_http
from pyegress.cli.exit_codes import ExitCode
from pyegress.cli.live import size
from pyegress.service import processes
from pyegress.service.config import ServiceConfig
from pyegress.service.config_sections import ApiSection
from pyegress.service.costs import MEASURED
from pyegress.service.processes import GIGABYTE

#: Bytes that a worker takes, measured with room composites at 720p30.
_WORKER_BYTES = 200_000_000
#: Bytes a second of a recording with the default preset: 3 Mbit/s of pictures, 128 kbit/s of sound.
_BYTES_A_SECOND = (3_000_000 + 128_000) / 8
_KINDS = (
    ("room composites", "room_composite_cpu_cost"),
    ("participants", "participant_cpu_cost"),
    ("tracks", "track_cpu_cost"),
)
_DESCRIPTORS = 1024


def check_machine(config: ServiceConfig) -> list[Finding]:
    """Everything that can be seen from here. Blocks for some milliseconds."""
    return [
        _cpu(config),
        _memory(config),
        _programs(config),
        *_folders(config),
        _descriptors(),
        *_ports(config),
    ]


def _cpu(config: ServiceConfig) -> Finding:
    cores = processes.cores()
    usable = cores * config.cpu_cost.max_cpu_utilization
    fits = [f"{int(usable / _cost(config, key))} {name}" for name, key in _KINDS]
    found = f"{cores:g} cores, of which {usable:.1f} may be used: {', or '.join(fits)} at 720p30"
    if cores < _cost(config, "participant_cpu_cost"):
        return bad(
            *("cpu", found, "Nothing that is encoded fits on this machine."),
            "Give it more cores (its cgroup's quota counts), or lower the keys of cpu_cost",
        )
    return good("cpu", found)


def _cost(config: ServiceConfig, key: str) -> float:
    configured: float | None = getattr(config.cpu_cost, key)
    return MEASURED[key] if configured is None else configured


def _memory(config: ServiceConfig) -> Finding:
    free = processes.available_bytes()
    if free is None:
        return skipped("memory", "this machine does not say how much is free")
    fits = int(free / _WORKER_BYTES)
    found = f"{free / GIGABYTE:.1f} GB are free, enough for about {fits} egresses that encode"
    limit = config.cpu_cost.max_memory
    if limit and limit * GIGABYTE > free:
        return warning(
            *("memory", f"{found}; max_memory is {limit:g} GB"),
            "The kernel may end workers before the service does.",
            "Lower cpu_cost.max_memory, or free memory",
        )
    if fits < 1:
        meaning = "An egress may be ended by the kernel for want of memory."
        return warning("memory", found, meaning, "Free memory, or give the machine more")
    return good("memory", found)


def _programs(config: ServiceConfig) -> Finding:
    missing = missing_programs(config.browser.executable)
    if missing is not None:
        meaning = "Web pages and custom templates cannot be recorded; everything else can."
        return warning("web pages", missing.message, meaning, missing.remedy)
    programs = find_programs(config.browser.executable)
    found = f"{programs.browser}, Xvfb and PulseAudio are installed"
    if shared_memory_is_small():
        return warning(
            *("web pages", f"{found}; /dev/shm is small", "A browser may use the disk instead, which is slower."),
            "Give the container more, for instance --shm-size=1g",
        )
    return good("web pages", found)


def _folders(config: ServiceConfig) -> Iterator[Finding]:
    """Recordings, state and spool: can something be written, and how much more?"""
    folders = [("recordings", "local_directory", config.local_directory)]
    folders.append(("state", "state_directory", config.state_directory))
    if config.spool.directory:
        folders.append(("the spool", "spool.directory", config.spool.directory))
    for check, key, folder in folders:
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path, prefix=".pyegress-doctor-") as probe:
                probe.write(b"x" * 65536)
                probe.flush()
                os.fsync(probe.fileno())
            free = shutil.disk_usage(path).free
        except OSError as error:
            yield bad(
                f"folder for {check}",
                f"{path} cannot be written: {error.strerror}",
                "The service would not start." if check == "state" else "Egresses would fail at once.",
                f"Give the user {os.geteuid()} the right to write there, or name another {key}",
                ExitCode.OUTPUT,
            )
            continue
        found = f"{path} can be written; {size(int(free))} are free"
        if check != "state":
            found += f", {free / _BYTES_A_SECOND / 3600:.0f} hours of one recording with the default preset"
        if free < config.disk.refuse_below:
            meaning = "No egress would be taken: it is less than disk.refuse_below."
            yield bad(f"folder for {check}", found, meaning, "Free some space, or name another folder", ExitCode.OUTPUT)
        elif free < config.disk.warn_below:
            meaning = "Long recordings may run out of space; finishing an MP4 needs its size again."
            yield warning(f"folder for {check}", found, meaning, "Free some space, or name another folder")
        else:
            yield good(f"folder for {check}", found)


def _descriptors() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS:
        return warning(
            *("open files", f"at most {soft}", "Many egresses or webhooks at once may fail."),
            f"Raise the limit to {_DESCRIPTORS} or more (ulimit -n, LimitNOFILE)",
        )
    return good("open files", "without limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _ports(config: ServiceConfig) -> Iterator[Finding]:
    """Whether the configured ports can be had."""
    api = config.api or ApiSection()
    wanted = [
        ("health_port", "0.0.0.0", config.health_port),
        ("prometheus_port", "0.0.0.0", config.prometheus_port),
        ("debug_port", config.debug_host, config.debug_port),
        ("template_port", "127.0.0.1", config.template_port if config.serves_templates else 0),
        ("api.port", api.host, api.port if wants_http(config) else 0),
    ]
    taken = [(key, port, error) for key, host, port in wanted if port and (error := _bind(host, port))]
    named = [f"{key} {port}" for key, _, port in wanted if port]
    if not named:
        return
    if not taken:
        yield good("ports", f"free: {', '.join(named)}")
        return
    yield warning(
        "ports",
        "; ".join(f"{key} {port}: {error}" for key, port, error in taken),
        "The service cannot start beside whoever has them; no harm if that is the service itself.",
        "Stop the other program, or choose other ports",
    )


def _bind(host: str, port: int) -> str:
    """Why a port cannot be listened on, "" when it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
