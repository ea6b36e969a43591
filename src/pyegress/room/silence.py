"""When a track that should send is silent, and what to do about it. Pure.

A server may miss that a track was unmuted, or that we subscribed, and then nothing ever comes. Silence alone proves
nothing (a camera may have no picture, a microphone may use DTX), so the cures cost nothing while nothing comes, and
they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from pyegress.clock import Monotonic
from pyegress.codecs import Kind


class Cure(Enum):
    """What to do about a silent track, mildest first."""

    #: Disable and enable it (`UpdateTrackSettings`): the server starts forwarding afresh and asks for a key frame.
    TOGGLE = "toggle"
    #: Unsubscribe and subscribe: everything that the server holds for this track is made anew.
    RESUBSCRIBE = "resubscribe"


#: Seconds of silence after which each cure is due. Video may wait for its publisher's key frame.
_AFTER_UNMUTE = {
    Kind.AUDIO: ((1.0, Cure.TOGGLE), (2.5, Cure.RESUBSCRIBE), (10.0, Cure.RESUBSCRIBE)),
    Kind.VIDEO: ((2.0, Cure.TOGGLE), (4.0, Cure.RESUBSCRIBE), (12.0, Cure.RESUBSCRIBE)),
}
_AFTER_SUBSCRIPTION = ((5.0, Cure.RESUBSCRIBE), (15.0, Cure.RESUBSCRIBE))
#: After an unmute, a silence that begins later than this is the publisher's own. Before, packets prove nothing: the
#: server's blank frames of a mute can come after the unmute.
_BLANK_FRAMES = 3.0


class SilenceWatch:
    """Watches one track after an event that should make it send."""

    __slots__ = ("_begin", "_cures", "_doubtful", "_heard", "_packets")

    def __init__(self) -> None:
        self._begin: Monotonic | None = None
        #: When the packet counter was last seen to move.
        self._heard = Monotonic(0.0)
        self._packets = 0
        #: Seconds after the event in which packets prove nothing.
        self._doubtful = 0.0
        self._cures: list[tuple[float, Cure]] = []

    def subscribed(self, packets: int, now: Monotonic) -> None:
        """We asked for the track. `packets` is the track's packet counter."""
        self._watch(packets, now, _AFTER_SUBSCRIPTION, 0.0)

    def unmuted(self, kind: Kind, packets: int, now: Monotonic) -> None:
        """The publisher unmuted the track."""
        self._watch(packets, now, _AFTER_UNMUTE[kind], _BLANK_FRAMES)

    def rest(self) -> None:
        """Muted, or no way for media: silence is right."""
        self._begin = None

    def due(self, packets: int, now: Monotonic) -> Cure | None:
        """The cure that is due now, each once. To be asked about every second."""
        if self._begin is None:
            return None
        if packets != self._packets:
            self._packets, self._heard = packets, now
        if self._heard - self._begin > self._doubtful or not self._cures:
            self._begin = None
            return None
        if now - self._heard < self._cures[0][0]:
            return None
        return self._cures.pop(0)[1]

    def _watch(self, packets: int, now: Monotonic, cures: Sequence[tuple[float, Cure]], doubtful: float) -> None:
        self._begin = self._heard = now
        self._packets = packets
        self._cures = list(cures)
        self._doubtful = doubtful
