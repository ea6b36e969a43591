from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from livekit.protocol import egress as pb

from pyegress.plan.browser_options import BrowserOptions, Udp
from pyegress.room.token import token_claims
from pyegress.worker.page_address import may_send_udp, page_address, with_parameters
from tests.plan.requests import FILE, planned, room

pytestmark = pytest.mark.unit


def test_parameters_are_set_into_the_query_of_the_base() -> None:
    url = with_parameters("https://h/t/?theme=a&layout=old&z=%20", {"layout": "grid", "url": "ws://s", "token": "t"})
    assert url == "https://h/t/?layout=grid&theme=a&token=t&url=ws%3A%2F%2Fs&z=+"
    assert with_parameters("http://h", {"layout": ""}) == "http://h/?layout="


def test_a_template_is_opened_with_layout_url_and_token() -> None:
    plan = planned(room(FILE, custom_base_url="https://h/t?a=1", layout="speaker"))
    address = page_address(plan)
    query = parse_qs(urlsplit(address.url).query)
    assert set(query) == {"a", "layout", "token", "url"}
    assert query["layout"] == ["speaker"]
    claims = token_claims(query["token"][0])
    assert claims["sub"] == plan.egress_id
    assert claims["video"]["room"] == address.room == plan.room_name
    assert (claims["video"]["hidden"], claims["video"]["recorder"], claims["video"]["canPublish"]) == (
        True,
        True,
        False,
    )
    assert claims["kind"] == "egress"
    assert address.awaits
    assert query["token"][0] not in repr(address)


def test_a_page_is_opened_as_it_was_named() -> None:
    plan = planned(pb.WebEgressRequest(url="https://h/?token=hunter2", file_outputs=[FILE]))
    address = page_address(plan)
    assert address.url == "https://h/?token=hunter2"
    assert not address.awaits
    assert "hunter2" not in address.shown


def test_udp_is_for_templates_unless_it_is_said_otherwise() -> None:
    template = page_address(planned(room(FILE, custom_base_url="https://h/")))
    page = page_address(planned(pb.WebEgressRequest(url="https://h/", file_outputs=[FILE])))
    assert may_send_udp(BrowserOptions(), template)
    assert not may_send_udp(BrowserOptions(), page)
    assert may_send_udp(BrowserOptions(udp=Udp.ALWAYS), page)
    assert not may_send_udp(BrowserOptions(udp=Udp.NEVER), template)
