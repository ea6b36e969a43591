"""The kernel's bad network: it loses what it is told to lose, and leaves nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.livekit_server import LiveKitServer
from tests.support.netns import NetworkNamespace, run_in_netns

pytestmark = pytest.mark.system

# Sends numbered datagrams to the address given and prints the numbers that come back.
_PINGER = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
for start in range(0, int(sys.argv[3]), 200):
    s.settimeout(None)
    for number in range(start, start + 200):
        s.send(number.to_bytes(4, "big"))
    s.settimeout(0.1)
    try:
        while True:
            number = int.from_bytes(s.recv(100), "big")
            print(number)
            if number % 200 == 199:
                break
    except (TimeoutError, ConnectionRefusedError):
        pass
"""
_COUNT = 4000


def _echoes(namespace: NetworkNamespace, *, reply: bool = True) -> tuple[int, int]:
    """Datagrams that an echo server outside received, and echoes that arrived inside, of `_COUNT`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind((namespace.outside, 0))
        echo.settimeout(0.2)
        port = echo.getsockname()[1]
        command = [sys.executable, "-c", _PINGER, namespace.outside, str(port), str(_COUNT)]
        received = 0
        with namespace.popen(command, stdout=subprocess.PIPE, text=True) as pinger:
            while pinger.poll() is None:
                try:
                    data, address = echo.recvfrom(100)
                except TimeoutError:
                    continue
                received += 1
                if reply:
                    echo.sendto(data, address)
            output = pinger.stdout.read() if pinger.stdout else ""
    return received, len(output.split())


def test_nothing_is_lost_without_rules(network_namespace: NetworkNamespace) -> None:
    assert _echoes(network_namespace) == (_COUNT, _COUNT)


@pytest.mark.parametrize("loss", [0.05, 0.15])
def test_loss_on_the_way_in(network_namespace: NetworkNamespace, loss: float) -> None:
    network_namespace.impair(loss=loss)
    sent, echoed = _echoes(network_namespace)
    tally = network_namespace.tally("in")
    assert sent == _COUNT
    assert (tally.seen, tally.seen - tally.dropped) == (_COUNT, echoed)
    # Five standard deviations of a binomial of 4000.
    assert tally.loss == pytest.approx(loss, abs=0.03)


def test_loss_on_the_way_out(network_namespace: NetworkNamespace) -> None:
    network_namespace.impair(loss_out=0.1)
    sent, echoed = _echoes(network_namespace)
    assert sent == echoed
    assert 1 - sent / _COUNT == pytest.approx(0.1, abs=0.03)
    assert network_namespace.tally("in").dropped == 0


@pytest.mark.parametrize("tcp", ["drop", "reset"])
def test_tcp_can_be_cut(
    network_namespace: NetworkNamespace, tcp: str, new_livekit_server: Callable[..., LiveKitServer]
) -> None:
    server = new_livekit_server(bind=network_namespace.outside)
    fetch = [
        sys.executable,
        "-c",
        f"import urllib.request as u; print(u.urlopen({server.http_url!r}, timeout=1).read())",
    ]
    assert "OK" in run_in_netns(network_namespace, fetch).stdout
    network_namespace.impair(tcp="drop" if tcp == "drop" else "reset")
    expected = "timed out" if tcp == "drop" else "Connection refused"
    assert expected in run_in_netns(network_namespace, fetch).stderr
    network_namespace.impair()
    assert "OK" in run_in_netns(network_namespace, fetch).stdout


def test_close_kills_what_runs_inside_and_removes_everything(network_namespace: NetworkNamespace) -> None:
    with network_namespace.popen(["sleep", "600"]) as process:
        network_namespace.close()
        assert process.wait(10) == -9
    network_namespace.close()
    assert not Path(f"/run/netns/{network_namespace.name}").exists()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="assign requested"):
        probe.bind((network_namespace.outside, 0))


def test_what_a_killed_run_left_is_removed(network_namespace: NetworkNamespace) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    orphan = f"pyegress-{gone.pid}-abcdef"
    subprocess.run(["ip", "netns", "add", orphan], check=True)
    with NetworkNamespace():
        assert not Path(f"/run/netns/{orphan}").exists()
