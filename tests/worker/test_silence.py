from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.room.events import Source
from pyegress.worker.feed import SILENT_AFTER
from pyegress.worker.silence import SilenceWatch
from tests.worker.encoding_plans import feed_of
from tests.worker.playing import at, participant, publication

pytestmark = pytest.mark.unit

MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE)


def test_a_silence_is_spoken_of_once() -> None:
    feed, watch = feed_of(participant("alice", MIC), MIC), SilenceWatch()
    assert watch.warnings([feed], at(SILENT_AFTER - 0.1), None) == []
    assert watch.warnings([feed], at(SILENT_AFTER), None) == [
        "The microphone of 'alice' is not muted and has sent nothing yet"
    ]
    assert watch.warnings([feed], at(SILENT_AFTER + 5), None) == []


def test_a_second_silence_is_another_one() -> None:
    feed, watch = feed_of(participant("alice", MIC), MIC), SilenceWatch()
    assert watch.warnings([feed], at(20), 12.4)
    feed.last_arrival = at(21)
    assert watch.warnings([feed], at(22), 14.0) == []
    assert watch.warnings([feed], at(40), 32.0) == [
        "The microphone of 'alice' is not muted and sends nothing any more (after 32 s)"
    ]


def test_what_is_muted_or_over_may_be_silent() -> None:
    feed, watch = feed_of(participant("alice", MIC), MIC), SilenceWatch()
    feed.set_muted(True, at(1))
    assert watch.warnings([feed], at(100), None) == []
    feed.set_muted(False, at(100))
    assert watch.warnings([feed], at(100 + SILENT_AFTER - 1), None) == []
    feed.end()
    assert watch.warnings([feed], at(500), None) == []
