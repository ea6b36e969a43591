"""What the HTTP door is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyegress.errors import InvalidRequest
from pyegress.plan.recording_plan import Webhook
from pyegress.server.twirp import ServerAccess
from pyegress.service.config import ServiceConfig
from pyegress.service.config_sections import ApiSection
from pyegress.service.egress_store import RETENTION
from pyegress.service.recording_rules import RecordingRule, read_rules
from pyegress.service.webhook_events import check_webhooks
from pyegress.service.webhooks import WebhookSettings

#: Only this machine, unless configured.
HOST, PORT = "127.0.0.1", 7985
#: In the state directory.
DATABASE = "egress.db"
OUTBOX = "outbox.db"
#: Where livekit-server sends its webhooks for recording rules.
WEBHOOK_PATH = "/livekit/webhook"


@dataclass(frozen=True, slots=True)
class TwirpSettings:
    """`keys` are API secrets by API key: tokens of any of them are taken. `server` is livekit-server and our key there.

    `port` 0 takes a free one. `retention` is in seconds.
    """

    server: ServerAccess
    database: Path | str
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    host: str = HOST
    port: int = PORT
    retention: float = RETENTION
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    rules: tuple[RecordingRule, ...] = ()
    webhook_path: str = WEBHOOK_PATH
    #: Webhooks that wait; ":memory:" loses them at the end.
    outbox: Path | str = ":memory:"

    def all_keys(self) -> dict[str, str]:
        """The keys, with that of livekit-server, which signs its webhooks with it."""
        return {self.server.api_key: self.server.api_secret} | dict(self.keys)

    def checked(self) -> TwirpSettings:
        """These settings. Raises InvalidRequest when they cannot work."""
        keys = self.all_keys()
        if not all(keys) or not all(keys.values()):
            raise InvalidRequest(
                "The Egress API needs an API key with its secret",
                field="api.keys",
                remedy="Set api_key and api_secret (LIVEKIT_API_KEY, LIVEKIT_API_SECRET), and list others under keys",
            )
        if self.webhooks.signing_key and self.webhooks.signing_key not in keys:
            raise InvalidRequest(
                f"The API key {self.webhooks.signing_key!r} that signs webhooks is not known",
                field="webhooks.api_key",
                remedy="Name one of the API keys of this service",
            )
        if not self.webhook_path.startswith("/") or self.webhook_path.startswith("/twirp/"):
            raise InvalidRequest(
                "The path for webhooks of livekit-server is none", field="api.webhook_path", remedy="Begin it with /"
            )
        check_webhooks(self.webhooks.webhooks, keys)
        return self


def configured(config: ServiceConfig) -> TwirpSettings:
    """The settings of a configuration. Raises InvalidRequest, naming the key."""
    section, webhooks = config.api or ApiSection(), config.webhooks
    return TwirpSettings(
        ServerAccess(config.ws_url, config.api_key, config.api_secret),
        section.database or Path(config.state_directory, DATABASE),
        keys={str(name): str(secret) for name, secret in section.keys.items()},
        host=section.host,
        port=section.port,
        retention=section.retention,
        webhooks=WebhookSettings(
            tuple(Webhook(url, "", webhooks.include_events, webhooks.exclude_events) for url in webhooks.urls),
            signing_key=webhooks.api_key,
        ),
        rules=read_rules([dict(rule) for rule in config.auto_egress]),
        webhook_path=section.webhook_path,
        outbox=Path(config.state_directory, OUTBOX),
    ).checked()
