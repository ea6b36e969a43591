"""What a receiver reports about a stream (RFC 3550 appendices A.3 and A.8)."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.rtp.rtcp import ReportBlock, SenderReport

_MASK_32 = (1 << 32) - 1


class ReceptionStatistics:
    """Counts the packets of one SSRC as the network delivered them; what an RTX stream repairs stays lost here."""

    __slots__ = (
        "_base",
        "_expected_prior",
        "_highest",
        "_jitter",
        "_last_report",
        "_last_report_at",
        "_received",
        "_received_prior",
        "_ssrc",
        "_transit",
    )

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._jitter = 0.0
        self._transit: float | None = None
        self._last_report = 0
        self._last_report_at = Monotonic(0.0)
        self.restart(-1)

    @property
    def jitter(self) -> float:
        """Interarrival jitter in ticks."""
        return self._jitter

    def restart(self, sequence: int) -> None:
        """A new line of extended sequence numbers begins at `sequence`; -1: at the next packet."""
        self._base = sequence
        self._highest = sequence
        self._received = 0
        self._received_prior = 0
        self._expected_prior = 0
        self._transit = None

    def arrived(self, sequence: int) -> None:
        """A packet came, duplicates included."""
        if sequence > self._highest:
            if self._base < 0:
                self._base = sequence
            self._highest = sequence
        self._received += 1

    def timed(self, timestamp: int, now: Monotonic, clock_rate: int) -> None:
        """A packet with media came: the interarrival jitter of appendix A.8."""
        transit = now * clock_rate - timestamp
        last = self._transit
        if last is not None:
            difference = transit - last
            if difference < 0:
                difference = -difference
            # After a pause of the sender's clock this is no jitter.
            if difference < clock_rate * 10:
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def sender_report(self, report: SenderReport, now: Monotonic) -> None:
        """Remember the report for LSR and DLSR."""
        self._last_report = report.ntp >> 16 & _MASK_32
        self._last_report_at = now

    def block(self, now: Monotonic) -> ReportBlock:
        """The report block for now; the fraction lost is that since the last call."""
        expected = self._highest - self._base + 1 if self._base >= 0 else 0
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (self._received - self._received_prior)
        self._expected_prior = expected
        self._received_prior = self._received
        fraction = min(255, (lost_interval << 8) // expected_interval) if expected_interval and lost_interval > 0 else 0
        delay = round((now - self._last_report_at) * 65536) & _MASK_32 if self._last_report else 0
        return ReportBlock(
            self._ssrc,
            fraction,
            max(-0x800000, min(0x7FFFFF, expected - self._received)),
            self._highest_reported() & _MASK_32,
            int(self._jitter) & _MASK_32,
            self._last_report,
            delay,
        )

    def _highest_reported(self) -> int:
        """The highest number with its cycles counted from our first packet (appendix A.1), as senders expect it."""
        return self._highest - (self._base & ~0xFFFF) if self._base >= 0 else 0
