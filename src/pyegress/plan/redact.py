"""Requests as they may be shown: in EgressInfo, webhooks, logs and health pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from typing import TypeVar

from google.protobuf.message import Message

from pyegress.plan.stream_urls import redact_page_url, redact_url

_M = TypeVar("_M", bound=Message)

#: Credentials by message and field, with what stands in their place.
PLACEHOLDERS: Mapping[str, Mapping[str, str]] = {
    "livekit.S3Upload": {
        "access_key": "{access_key}",
        "secret": "{secret}",
        "session_token": "{session_token}",
        "assume_role_external_id": "{external_id}",
    },
    "livekit.GCPUpload": {"credentials": "{credentials}"},
    "livekit.AzureBlobUpload": {"account_name": "{account_name}", "account_key": "{account_key}"},
    "livekit.AliOSSUpload": {"access_key": "{access_key}", "secret": "{secret}"},
    "livekit.ProxyConfig": {"username": "{username}", "password": "{password}"},
}
#: URLs that may carry keys, and how each is shown. Webhook URLs stay: the server calls them as the info names them.
URLS: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "livekit.StreamOutput": {"urls": redact_url},
    "livekit.StreamDestination": {"url": redact_url},
    "livekit.StreamInfo": {"url": redact_url},
    "livekit.UpdateStreamRequest": {"add_output_urls": redact_url, "remove_output_urls": redact_url},
    "livekit.TrackEgressRequest": {"websocket_url": redact_url},
    "livekit.ProxyConfig": {"url": redact_page_url},
    "livekit.WebEgressRequest": {"url": redact_page_url},
    "livekit.WebSource": {"url": redact_page_url},
    "livekit.RoomCompositeEgressRequest": {"custom_base_url": redact_page_url},
    "livekit.TemplateSource": {"custom_base_url": redact_page_url},
}


def lacks_secrets(storage: object) -> bool:
    """Whether a storage was planned from a redacted request: placeholders stand where its credentials were."""
    shown = {text for fields in PLACEHOLDERS.values() for text in fields.values()}
    return is_dataclass(storage) and any(getattr(storage, field.name) in shown for field in fields_of(storage))


def redacted(message: _M) -> _M:
    """A copy of `message` without secrets, wherever in it they are.

    Fields that this version of the protocol does not know are left out: nobody can tell what they hold.
    """
    clone = type(message)()
    clone.CopyFrom(message)
    clone.DiscardUnknownFields()
    _redact(clone)
    return clone


def _redact(message: Message) -> None:
    name = message.DESCRIPTOR.full_name
    for field, placeholder in PLACEHOLDERS.get(name, {}).items():
        if getattr(message, field):
            setattr(message, field, placeholder)
    for field, shown in URLS.get(name, {}).items():
        value = getattr(message, field)
        if isinstance(value, str):
            if value:
                setattr(message, field, shown(value))
        else:
            value[:] = [shown(url) for url in value]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for part in value if descriptor.is_repeated else (value,):
            _redact(part)
