"""The one error that protocol code raises for bytes that break their RFC."""

from __future__ import annotations


class ProtocolError(ValueError):
    """Malformed RTP, RTCP or payload bytes. The message says what is wrong; it never holds payload bytes."""
