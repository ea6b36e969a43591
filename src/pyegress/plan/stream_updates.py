"""UpdateStream: which destinations are added and removed, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from livekit.protocol import egress as pb

from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound
from pyegress.plan.stream_urls import Destination, StreamProtocol, destination

#: Destinations that one egress streams to at a time.
MOST_DESTINATIONS = 10


@dataclass(frozen=True, slots=True)
class StreamUpdate:
    """Destinations to add, and URLs or ids to remove after that. `errors` are of parts that cannot be done."""

    add: tuple[Destination, ...]
    remove: tuple[str, ...] = field(repr=False)
    errors: tuple[EgressError, ...] = ()


def read_update(request: pb.UpdateStreamRequest, protocol: StreamProtocol) -> StreamUpdate:
    """What `request` means for streams of `protocol`. Never raises: what is right is done, whatever the rest is."""
    add: dict[str, Destination] = {}
    errors: list[EgressError] = []
    asked = [("", url) for url in request.add_output_urls] + [(each.id, each.url) for each in request.add_destinations]
    for id_, url in asked:
        try:
            add.setdefault(url, destination(url, protocol, id=id_))
        except InvalidRequest as error:
            errors.append(error)
    if not asked and not request.remove_output_urls:
        errors.append(
            InvalidRequest(
                "UpdateStream names no URL to add or remove",
                field="add_output_urls",
                remedy="Give add_output_urls, add_destinations or remove_output_urls",
            )
        )
    return StreamUpdate(tuple(add.values()), tuple(dict.fromkeys(request.remove_output_urls)), tuple(errors))


def joined_error(errors: Sequence[EgressError]) -> EgressError | None:
    """One error of many: their texts line by line, with the code and field of the first."""
    if len(errors) < 2:
        return errors[0] if errors else None
    first = errors[0]
    return EgressError("\n".join(map(str, errors)), field=first.field, code=first.code, fault=first.fault)


def no_streams() -> EgressError:
    """UpdateStream for an egress that has none."""
    return InvalidRequest(
        "UpdateStream was called on an egress without stream outputs",
        field="stream_outputs",
        remedy="Start the egress with stream_outputs",
    )


def stream_not_found(shown: str) -> EgressError:
    """A URL to remove that nothing is streamed to; `shown` is redacted."""
    return NotFound(
        f"stream not found: this egress has no active stream to {shown}",
        field="remove_output_urls",
        remedy="Give the URL as it was added, with its key",
    )


def already_streaming(shown: str) -> EgressError:
    """A destination that is there already: services take one publisher for each key."""
    return EgressError(
        f"This egress streams to {shown} already, or to another destination with that id",
        field="add_output_urls",
        code=Code.ALREADY_EXISTS,
        fault=Fault.CALLER,
        remedy="Remove it first, or use another key or id",
    )


def ending() -> EgressError:
    """It is too late to add anything."""
    return EgressError("The egress is ending", code=Code.FAILED_PRECONDITION, fault=Fault.CALLER)


def too_many_destinations(count: int) -> EgressError:
    """More destinations than one egress may have."""
    return InvalidRequest(
        f"{count} destinations are more than the {MOST_DESTINATIONS} that one egress may stream to",
        field="stream url",
        remedy="Start another egress for the rest",
    )
