"""What the HTTP door may be configured with, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyegress.api.twirp_settings import TwirpSettings, configured
from pyegress.errors import InvalidRequest
from pyegress.plan.recording_plan import Webhook
from pyegress.server.twirp import ServerAccess
from pyegress.service.config import ServiceConfig
from pyegress.service.config_reader import Seconds
from pyegress.service.config_sections import ApiSection, WebhooksSection
from pyegress.service.room_service import RoomService

pytestmark = pytest.mark.unit

SECRET = "s3cret" * 6
SERVER = ServerAccess("ws://localhost:7880", "key", SECRET)


def configure(**sections: Any) -> TwirpSettings:
    values = {"ws_url": SERVER.url, "api_key": SERVER.api_key, "api_secret": SECRET, "state_directory": "/state"}
    return configured(ServiceConfig(**(values | sections)))


def test_the_default_is_for_this_machine_only() -> None:
    settings = configure()
    assert settings.host == "127.0.0.1"
    assert settings.retention == 24 * 3600
    assert settings.database == Path("/state/egress.db")
    assert settings.all_keys() == {"key": SECRET}


def test_a_whole_configuration() -> None:
    rule = {"record": "room", "request": {"file_outputs": [{"filepath": "rec/"}]}}
    settings = configure(
        api=ApiSection(port=9000, keys={"other": "o" * 32}, database="/var/lib/egress.db", retention=Seconds(3600)),
        webhooks=WebhooksSection(api_key="other", urls=("https://a/b",), exclude_events=("egress_updated",)),
        auto_egress=(rule,),
    )
    assert (settings.port, settings.database, settings.retention) == (9000, "/var/lib/egress.db", 3600)
    assert settings.all_keys() == {"key": SECRET, "other": "o" * 32}
    assert settings.webhooks.webhooks == (Webhook("https://a/b", "", (), ("egress_updated",)),)
    assert settings.webhooks.signing_key == "other"
    assert len(settings.rules) == 1
    assert SECRET not in repr(settings)
    assert "o" * 32 not in repr(settings)


@pytest.mark.parametrize(
    ("api", "webhooks", "secret", "field"),
    [
        (ApiSection(keys={"": "x"}), WebhooksSection(), SECRET, "api.keys"),
        (ApiSection(keys={"k": ""}), WebhooksSection(), SECRET, "api.keys"),
        (ApiSection(), WebhooksSection(), "", "api.keys"),
        (ApiSection(), WebhooksSection(api_key="nobody"), SECRET, "webhooks.api_key"),
        (ApiSection(), WebhooksSection(urls=("a/b",)), SECRET, "webhooks[0].url"),
        (ApiSection(webhook_path="hook"), WebhooksSection(), SECRET, "api.webhook_path"),
        (ApiSection(webhook_path="/twirp/x"), WebhooksSection(), SECRET, "api.webhook_path"),
    ],
)
def test_refused(api: ApiSection, webhooks: WebhooksSection, secret: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        configure(api=api, webhooks=webhooks, api_secret=secret)
    assert refused.value.field == field


@pytest.mark.parametrize("url", ["", "localhost:7880", "ftp://host", "ws://"])
def test_a_server_that_is_none(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        RoomService(replace(SERVER, url=url))
    assert refused.value.field == "url"


def test_settings_made_in_code_are_checked_too() -> None:
    with pytest.raises(InvalidRequest):
        TwirpSettings(replace(SERVER, api_key=""), ":memory:").checked()
