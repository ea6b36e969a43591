"""What the HTTP door may be configured with, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.api.twirp_settings import ApiSection, TwirpSettings, WebhooksSection, configured
from pyegress.errors import InvalidRequest
from pyegress.plan.recording_plan import Webhook
from pyegress.service.room_service import RoomService
from pyegress.service.twirp_client import ServerAccess

pytestmark = pytest.mark.unit

SERVER = ServerAccess("ws://localhost:7880", "key", "s3cret" * 6)


def test_the_default_is_for_this_machine_only() -> None:
    settings = configured(ApiSection(), WebhooksSection(), [], SERVER)
    assert settings.host == "127.0.0.1"
    assert settings.retention == 24 * 3600
    assert settings.all_keys() == {"key": SERVER.api_secret}


def test_a_whole_configuration() -> None:
    rule = {"record": "room", "request": {"file_outputs": [{"filepath": "rec/"}]}}
    settings = configured(
        ApiSection(port=9000, keys={"other": "o" * 32}, database="/var/lib/egress.db", retention_hours=1),
        WebhooksSection(api_key="other", urls=("https://a/b",), exclude_events=("egress_updated",)),
        [rule],
        SERVER,
    )
    assert (settings.port, settings.database, settings.retention) == (9000, "/var/lib/egress.db", 3600)
    assert settings.all_keys() == {"key": SERVER.api_secret, "other": "o" * 32}
    assert settings.webhooks.webhooks == (Webhook("https://a/b", "", (), ("egress_updated",)),)
    assert settings.webhooks.signing_key == "other"
    assert len(settings.rules) == 1
    assert SERVER.api_secret not in repr(settings)
    assert "o" * 32 not in repr(settings)


@pytest.mark.parametrize(
    ("api", "webhooks", "server", "field"),
    [
        (ApiSection(keys={"": "x"}), WebhooksSection(), SERVER, "api.keys"),
        (ApiSection(keys={"k": ""}), WebhooksSection(), SERVER, "api.keys"),
        (ApiSection(), WebhooksSection(), replace(SERVER, api_secret=""), "api.keys"),
        (ApiSection(), WebhooksSection(api_key="nobody"), SERVER, "webhooks.api_key"),
        (ApiSection(), WebhooksSection(urls=("a/b",)), SERVER, "webhooks[0].url"),
        (ApiSection(webhook_path="hook"), WebhooksSection(), SERVER, "api.webhook_path"),
        (ApiSection(webhook_path="/twirp/x"), WebhooksSection(), SERVER, "api.webhook_path"),
    ],
)
def test_refused(api: ApiSection, webhooks: WebhooksSection, server: ServerAccess, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        configured(api, webhooks, [], server)
    assert refused.value.field == field


@pytest.mark.parametrize("url", ["", "localhost:7880", "ftp://host", "ws://"])
def test_a_server_that_is_none(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        RoomService(replace(SERVER, url=url))
    assert refused.value.field == "ws_url"


def test_settings_made_in_code_are_checked_too() -> None:
    with pytest.raises(InvalidRequest):
        TwirpSettings(replace(SERVER, api_key=""), ":memory:").checked()
