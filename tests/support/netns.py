"""A bad network made by the kernel: a network namespace whose traffic with the outside loses packets at random.

Server and publishers stay outside and see a perfect network; what runs inside (the recorder) reaches them at `outside`
through a pair of virtual interfaces, and loses what the rules say.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

Tcp = Literal["pass", "drop", "reset"]

_PREFIX = "pyegress"
_TABLE = "pyegress"


@dataclass(frozen=True, slots=True)
class Tally:
    """UDP packets that came to the rule of one direction, and how many of them it dropped."""

    seen: int
    dropped: int

    @property
    def loss(self) -> float:
        return self.dropped / self.seen if self.seen else 0.0


def why_unavailable() -> str | None:
    """Why namespaces cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft"):
        if _tool(tool) is None:
            return f"{tool} is not installed (scripts/setup installs it)"
    probe = f"{_PREFIX}-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
        _ip("netns", "del", probe)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.decode(errors='replace').strip()}"
    return None


class NetworkNamespace:
    """Made by `with`, gone afterwards with everything that runs in it. Blocking calls, some milliseconds each.

    `outside` and `inside` are the IPv4 addresses of the two ends: a server that binds `outside` is reachable from both.
    """

    def __init__(self) -> None:
        tag = secrets.token_hex(3)
        # The process id lets a later run remove what a killed one left.
        self.name = f"{_PREFIX}-{os.getpid()}-{tag}"
        self._link = f"pye{tag}"
        # 198.18.0.0/15 is for tests of networks (RFC 2544): no real route is hidden.
        base = secrets.randbelow(1 << 14) * 4
        self.outside, self.inside = (f"198.18.{(base + host) >> 8}.{(base + host) & 255}" for host in (1, 2))

    def __enter__(self) -> Self:
        _remove_orphans()
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            _ip("addr", "add", f"{self.outside}/30", "dev", self._link)
            _ip("link", "set", self._link, "up")
            _ip("-n", self.name, "addr", "add", f"{self.inside}/30", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", self.name, "link", "set", device, "up")
            # No packet has to wait for ARP, which a busy machine answers late.
            _ip("neigh", "add", self.inside, "lladdr", _mac("eth0", self.name), "dev", self._link)
            _ip("-n", self.name, "neigh", "add", self.outside, "lladdr", _mac(self._link), "dev", "eth0")
            _ip("-n", self.name, "route", "add", "default", "via", self.outside)
            self.impair()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what runs inside and remove namespace and interfaces. May be repeated."""
        # The kernel takes its time to clear a namespace; the pair of interfaces must not outlive this call.
        if Path(f"/sys/class/net/{self._link}").exists():
            _ip("link", "del", self._link)
        _remove(self.name)

    def impair(self, *, loss: float = 0.0, loss_out: float = 0.0, tcp: Tcp = "pass") -> None:
        """Set what happens from now on, and start counting anew.

        `loss` and `loss_out` (0..1, in steps of 0.0001) are the shares of UDP packets lost on their way in and out,
        each by its own dice. `tcp`: everything passes, is dropped silently, or is answered with a reset.
        """
        verdict = {"pass": "", "drop": "meta l4proto tcp drop", "reset": "meta l4proto tcp reject with tcp reset"}[tcp]
        tables = [
            f"""table inet {_TABLE} {{
                {_counters("in")}
                chain input {{
                    type filter hook input priority 0
                    iif lo accept
                    {verdict}
                    {_dice("in", loss)}
                }}
                chain output {{
                    type filter hook output priority 0
                    oif lo accept
                    {verdict}
                }}
            }}"""
        ]
        if loss_out > 0:
            # Behind the socket: dropped by the output hook above, a packet would come back as EPERM from send().
            chain = f"chain output {{ type filter hook egress device eth0 priority 0; {_dice('out', loss_out)}; }}"
            tables.append(f"table netdev {_TABLE} {{ {_counters('out')}\n{chain}\n}}")
        # One transaction: no packet sees a half-made set of rules.
        fresh = [f"table {family} {_TABLE}\ndelete table {family} {_TABLE}" for family in ("inet", "netdev")]
        self._nft("-f", "-", stdin="\n".join([*fresh, *tables, ""]).encode())

    def tally(self, direction: Literal["in", "out"] = "in") -> Tally:
        """What the rules did since `impair`. The way out is counted only while it loses something."""
        listed: dict[str, Any] = json.loads(self._nft("-j", "list", "counters"))
        counts = {o["counter"]["name"]: o["counter"]["packets"] for o in listed["nftables"] if "counter" in o}
        return Tally(counts.get(f"{direction}_seen", 0), counts.get(f"{direction}_dropped", 0))

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs `command` inside. It becomes that process itself, so signals reach it."""
        return [_tool("ip") or "ip", "netns", "exec", self.name, *command]

    def popen(self, command: Sequence[str], **arguments: Any) -> subprocess.Popen[Any]:
        """Start a process inside; further arguments are those of `subprocess.Popen`."""
        return subprocess.Popen(self.command(command), **arguments)

    def _nft(self, *arguments: str, stdin: bytes = b"") -> bytes:
        command = self.command([_tool("nft") or "nft", *arguments])
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"nft {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout


def run_in_netns(
    namespace: NetworkNamespace, command: Sequence[str], *, timeout: float = 60.0, **arguments: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command inside to its end, output captured as text. Raises `subprocess.TimeoutExpired`."""
    return subprocess.run(
        namespace.command(command), capture_output=True, text=True, timeout=timeout, check=False, **arguments
    )


def _remove_orphans() -> None:
    for entry in sorted(Path("/run/netns").glob(f"{_PREFIX}-*")):
        owner = entry.name.split("-")[1]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            _remove(entry.name)


def _remove(name: str) -> None:
    if not Path(f"/run/netns/{name}").exists():
        return
    for pid in _ip("netns", "pids", name).split():
        try:
            os.kill(int(pid), 9)
        except ProcessLookupError:
            continue
    _ip("netns", "del", name)


def _counters(direction: str) -> str:
    return f"counter {direction}_seen {{ }}\ncounter {direction}_dropped {{ }}"


def _dice(direction: str, share: float) -> str:
    dice = f"numgen random mod 10000 < {round(share * 10000)} " if share < 1 else ""  # 10000 is out of its range
    drop = f"{dice}counter name {direction}_dropped drop"
    seen = f"meta l4proto udp counter name {direction}_seen"
    return f"{seen}; meta l4proto udp {drop}" if share > 0 else seen


def _mac(device: str, namespace: str | None = None) -> str:
    inside = ("-n", namespace) if namespace else ()
    address: str = json.loads(_ip(*inside, "-j", "link", "show", "dev", device))[0]["address"]
    return address


def _ip(*arguments: str) -> str:
    command = [_tool("ip") or "ip", *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout.decode()


def _tool(name: str) -> str | None:
    """System administration tools are not on every user's path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
