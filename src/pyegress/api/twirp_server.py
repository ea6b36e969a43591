"""The HTTP side of the Egress API: routes, tokens, deadlines, repeated calls; and livekit-server's webhooks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping

from aiohttp import web
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from livekit.protocol.webhook import WebhookEvent

from pyegress.api.egress_api import EgressApi
from pyegress.api.idempotency import RepeatedCalls
from pyegress.api.tokens import authorize, presented_token
from pyegress.api.twirp_settings import WEBHOOK_PATH
from pyegress.api.twirp_wire import METHODS, PREFIX, Encoding, TwirpError, bad_route, decode, encode, twirp_error
from pyegress.clock import monotonic, wall
from pyegress.errors import Code, EgressError, Unauthenticated
from pyegress.service.auto_recording import AutoRecorder
from pyegress.service.tokens import verified_claims, vouches_for

#: Bytes of a request, and seconds in which all of them must have come.
MOST_BYTES, BODY_TIMEOUT = 1 << 20, 30.0
_TIMEOUT_HEADER, _REQUEST_ID_HEADER = "X-Twirp-Timeout-Ms", "X-Livekit-Request-Id"
#: The longest deadline: more milliseconds than this mean none.
_MOST_MS = 24 * 3600 * 1000
_MOST_ID = 200

_log = logging.getLogger(__name__)


class TwirpServer:
    """Answers HTTP requests. Neither logs nor errors show a token or a request."""

    def __init__(
        self,
        api: EgressApi,
        keys: Mapping[str, str],
        *,
        recorder: AutoRecorder | None = None,
        webhook_path: str = WEBHOOK_PATH,
    ) -> None:
        self._api = api
        self._keys = keys
        self._recorder = recorder
        self._webhook_path = webhook_path
        self._calls = RepeatedCalls()

    def application(self) -> web.Application:
        """One handler for every path: Twirp has its own answer for paths that are not there."""
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def aclose(self) -> None:
        """End what still runs. May be called twice."""
        await self._calls.aclose()

    async def _handle(self, request: web.Request) -> web.Response:
        # Clients that join a base URL and a path write // between them.
        path = "/" + "/".join(part for part in request.path.split("/") if part)
        begun = monotonic()
        try:
            if path == self._webhook_path and self._recorder is not None:
                return await self._take_webhook(request, self._recorder)
            return await self._call(request, path)
        except EgressError as error:
            refusal = twirp_error(error)
        except TwirpError as error:
            refusal = error
        except Exception:
            _log.exception("%s failed", path[:80])
            refusal = TwirpError("internal", "The service failed; its log says why")
        level = logging.WARNING if refusal.status >= 500 else logging.INFO
        _log.log(level, "%s: %s in %.0f ms: %s", path[:80], refusal.code, (monotonic() - begun) * 1000, refusal.message)
        return web.Response(status=refusal.status, body=refusal.body(), content_type="application/json")

    async def _call(self, request: web.Request, path: str) -> web.Response:
        encoding = Encoding.of(request.headers.get("Content-Type", ""))
        request_type = METHODS.get(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if request_type is None:
            raise bad_route(f"no handler for path {path!r}", request.method, path)
        if request.method != "POST":
            raise bad_route(f"unsupported method {request.method!r} (only POST is allowed)", request.method, path)
        if encoding is None:
            raise bad_route(f"unexpected Content-Type, send {' or '.join(e.value for e in Encoding)}", "POST", path)
        seconds = _deadline(request.headers.get(_TIMEOUT_HEADER, ""))
        try:
            async with asyncio.timeout(seconds):
                api_key = self._authorize(request)
                body = await _body(request)
                answer = await self._answer(request, api_key, path, decode(request_type, encoding, body), body)
        except TimeoutError:
            raise TwirpError(
                "deadline_exceeded", f"no answer in the {seconds or 0:g} s that {_TIMEOUT_HEADER} allows"
            ) from None
        return web.Response(body=encode(answer, encoding), content_type=encoding.value)

    def _authorize(self, request: web.Request) -> str:
        authorization = request.headers.get("Authorization", "")
        token = presented_token(authorization, request.query.get("access_token", ""))
        return authorize(token, self._keys, now=wall())

    async def _answer(self, request: web.Request, api_key: str, path: str, message: Message, body: bytes) -> Message:
        request_id = request.headers.get(_REQUEST_ID_HEADER, "")
        if not 0 < len(request_id) <= _MOST_ID:
            return await self._api.call(message)
        same = path.encode() + b"\0" + body
        return await self._calls.run((api_key, request_id), same, lambda: self._api.call(message), now=monotonic())

    async def _take_webhook(self, request: web.Request, recorder: AutoRecorder) -> web.Response:
        """An event of livekit-server, which must have signed it. What it starts is not waited for."""
        if request.method != "POST":
            raise bad_route("webhooks are posted", request.method, self._webhook_path)
        body = await _body(request)
        token = request.headers.get("Authorization", "")
        claims = verified_claims(presented_token(token, "") or token, self._keys, now=wall())
        if not vouches_for(claims, body):
            raise Unauthenticated(
                "The webhook's token is for another body",
                field="Authorization",
                remedy="Send webhooks as livekit-server signs them, through nothing that changes them",
            )
        try:
            event = _event(body)
        except (ParseError, ValueError, RecursionError):
            raise TwirpError("malformed", "the body is no livekit.WebhookEvent in JSON") from None
        for egress_id in recorder.handle(event):
            _log.info("%s in room %r: egress %s", event.event, event.room.name, egress_id)
        return web.Response()


def _event(body: bytes) -> WebhookEvent:
    data = json.loads(body)
    if not isinstance(data, dict):
        raise ValueError
    return ParseDict(data, WebhookEvent(), ignore_unknown_fields=True)


def _deadline(header: str) -> float | None:
    """Seconds from a header of milliseconds; None without a limit."""
    if not (header.isascii() and header.isdecimal()) or len(header) > 18 or int(header) > _MOST_MS:
        return None
    return int(header) / 1000


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TwirpError("malformed", f"the body has more than {MOST_BYTES} bytes") from None
    except (OSError, web.RequestPayloadError):
        raise TwirpError("malformed", "the body did not come whole") from None
    except TimeoutError:
        raise EgressError(
            f"The body did not come in {BODY_TIMEOUT:g} s", code=Code.DEADLINE_EXCEEDED, remedy="Send it again"
        ) from None
