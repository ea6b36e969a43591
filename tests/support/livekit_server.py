"""The real livekit-server of the tests: fixtures are in tests/conftest.py, the class is the one of the demo."""

from __future__ import annotations

from pyegress.demo.server import LiveKitServer, ServerFailed, free_port, server_binary

__all__ = ["LiveKitServer", "ServerFailed", "free_port", "server_binary"]
