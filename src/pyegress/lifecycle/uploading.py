"""What is said of uploads while they go on. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """Objects and bytes of one egress: on their way, and confirmed. `failing` says why nothing gets through now."""

    waiting: int = 0
    bytes_waiting: int = 0
    delivered: int = 0
    bytes_delivered: int = 0
    failing: str = ""
    #: Of those that wait.
    segments_waiting: int = 0
    playlists_waiting: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is uploaded at all."""
        return bool(self.waiting or self.delivered or self.failing)

    @property
    def text(self) -> str:
        """What is left to do, in words; "" when nothing is."""
        if not self.waiting:
            # Of a file that still grows.
            return f"nothing is uploaded now ({self.failing})" if self.failing else ""
        things = "1 object" if self.waiting == 1 else f"{self.waiting} objects"
        failing = f" ({self.failing})" if self.failing else ""
        return f"uploading {things}, {self.bytes_waiting / 1e6:.1f} MB left{failing}"


@dataclass(frozen=True, slots=True)
class UploadTried:
    """One attempt, for figures. `status` is success, 4xx, 5xx or internal; `output_type` that of the object.

    `endpoint` is the host when it is not the provider's own. `backup`: it went to the backup storage.
    """

    content_type: str
    output_type: str
    status: str
    milliseconds: float
    endpoint: str = ""
    backup: bool = False
