"""Who handles a request: psrpc's claims as state machines of the server and of the client. Pure, `now` is passed in.

A client publishes a request, every server that would take it bids, the client awards it to one of them. All times are
seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds that a bid of a fully loaded node waits.
MAX_DELAY = 0.1
#: Seconds added per offer of ours that is not decided yet: in a burst nodes take turns before their loads are known.
_DELAY_PER_OFFER = 0.002


def bid_delay(load: float, undecided: int = 0) -> float:
    """Seconds, 0 to 0.1, before a node of `load` (0 to 1, after taking the request) bids.

    Callers take the first full bid, so waiting longer lets less loaded nodes win. Squared, because an almost idle node
    should answer at once while busy ones have to be told apart.
    """
    load = min(1.0, max(0.0, load))
    return min(MAX_DELAY, MAX_DELAY * load * load + _DELAY_PER_OFFER * undecided)


@dataclass(slots=True)
class _Offer:
    bid_at: float
    expires: float
    affinity: float
    bid_sent: bool = False


class Offers:
    """The requests that one server would take: from arrival to award, loss or expiry."""

    def __init__(self) -> None:
        self._open: dict[str, _Offer] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._open

    def offer(self, request_id: str, now: float, *, lifetime: float, delay: float = 0.0, affinity: float = 1.0) -> bool:
        """A request arrived; bid for it `delay` seconds from now. False: it is already known or has expired."""
        if lifetime <= 0 or request_id in self._open:
            return False
        self._open[request_id] = _Offer(now + delay, now + lifetime, affinity)
        return True

    def due(self, now: float) -> list[tuple[str, float]]:
        """Request id and affinity of the bids to publish now, each once. Forgets what nobody awarded in time."""
        for request_id in [key for key, offer in self._open.items() if now >= offer.expires]:
            del self._open[request_id]
        bids = [
            (key, offer.affinity) for key, offer in self._open.items() if not offer.bid_sent and now >= offer.bid_at
        ]
        for request_id, _ in bids:
            self._open[request_id].bid_sent = True
        return bids

    def next_at(self) -> float | None:
        """When `due` should be called next."""
        return min((o.expires if o.bid_sent else min(o.bid_at, o.expires) for o in self._open.values()), default=None)

    def awarded(self, request_id: str, *, ours: bool, now: float) -> bool:
        """A client decided. True when we are to handle the request, once."""
        offer = self._open.pop(request_id, None)
        return offer is not None and ours and offer.bid_sent and now < offer.expires

    def withdraw(self, request_id: str) -> None:
        """Do not bid after all."""
        self._open.pop(request_id, None)


@dataclass(frozen=True, slots=True)
class SelectionTerms:
    """How a client picks. Seconds.

    `window`: how long to wait for bids at all. A bid of at least `maximum` wins at once; otherwise the highest bid, the
    earliest among equals, wins `short_circuit` seconds after the first one. Bids must be greater than zero, unless
    `any_bid`: then the first one wins whatever it says.
    """

    window: float = 1.0
    short_circuit: float = 0.0
    maximum: float = 1.0
    any_bid: bool = False


#: What psrpc does for methods without an affinity function.
FIRST_BID = SelectionTerms(any_bid=True)


@dataclass(slots=True)
class Selection:
    """One request's bids as its client sees them, from `started` on."""

    terms: SelectionTerms
    started: float
    bids: int = 0
    _best: tuple[float, str] | None = None
    _closes: float = field(init=False)
    _decided: bool = False

    def __post_init__(self) -> None:
        self._closes = self.started + self.terms.window

    def bid(self, server_id: str, affinity: float, now: float) -> str | None:
        """A bid arrived. The winner, when this decides."""
        if self._decided:
            return None
        self.bids += 1
        if self.terms.any_bid or affinity >= self.terms.maximum:
            return self._win(server_id)
        if affinity > 0 and (self._best is None or affinity > self._best[0]):
            if self._best is None and self.terms.short_circuit:
                self._closes = min(self._closes, now + self.terms.short_circuit)
            self._best = (affinity, server_id)
        return None

    def sent(self, now: float) -> None:
        """The request could be sent only now: the time for bids begins."""
        if self._best is None:
            self._closes = now + self.terms.window

    def next_at(self) -> float:
        """When `close` decides."""
        return self._closes

    def close(self, now: float) -> str | None:
        """The winner when the time for bids is over; None when it is not, or nobody may win."""
        if self._decided or self._best is None or now < self._closes:
            return None
        return self._win(self._best[1])

    def _win(self, server_id: str) -> str:
        self._decided = True
        return server_id
