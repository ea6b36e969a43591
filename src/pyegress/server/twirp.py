"""Calls over Twirp (https://twitchtv.github.io/twirp/docs/spec_v7.html), as LiveKit's APIs are called."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from google.protobuf.message import DecodeError, Message

from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError, Fault, NotFound, Unauthenticated, cause_of
from pyegress.server.endpoint import Endpoint
from pyegress.server.tokens import signed_token

#: Seconds for one answer.
TIMEOUT = 10.0
#: livekit-server writes it before the words of others.
_PREFIX = "twirp error unknown: "

_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """Where a server is, and the API key that it knows us by. `name` is what errors call it."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)
    name: str = "livekit-server"


class TwirpClient:
    """One server. Errors name `url` and `api_key`; their texts never show a token."""

    def __init__(self, access: ServerAccess, *, timeout: float = TIMEOUT) -> None:
        """Raises InvalidRequest for a URL that is none."""
        endpoint = Endpoint.parse(access.url)
        self._base = endpoint.url("/twirp/", {}, http=True)
        #: The server, without what a URL may hide.
        self.shown = str(endpoint)
        self.access = access
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        #: The `Date` of the last answer, None before one.
        self.date: str | None = None

    async def call(
        self,
        method: str,
        grants: Mapping[str, bool | str],
        request: Message,
        answer: type[_Answer],
        *,
        now: Wall | None = None,
    ) -> _Answer:
        """The answer of `Service/Method`, asked with these video grants. Raises EgressError with the server's code."""
        access = self.access
        at = wall() if now is None else now
        token = signed_token(access.api_key, access.api_secret, {"video": dict(grants)}, now=at)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/protobuf"}
        data = request.SerializeToString()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client().post(self._base + method, data=data, headers=headers) as response,
            ):
                status, body = response.status, await response.read()
                self.date = response.headers.get("Date")
        except TimeoutError:
            raise self.unreachable(f"no answer in {self._timeout:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise self.unreachable(cause_of(error.os_error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(str(error) or type(error).__name__) from None
        if status != 200:
            raise self._refused(status, body)
        try:
            return answer.FromString(body)
        except DecodeError:
            raise self._other(status) from None

    def unreachable(self, cause: str) -> EgressError:
        """The error of a server that gives no answer of use."""
        return EgressError(
            f"{self.access.name} at {self.shown} cannot be reached: {cause}",
            field="url",
            code=Code.UNAVAILABLE,
            fault=Fault.SERVER,
            retryable=True,
            remedy="Check the URL, that the server runs, and that no firewall is between",
        )

    def _other(self, status: int) -> EgressError:
        return EgressError(
            f"{self.shown} does not answer as {self.access.name} does (HTTP {status})",
            field="url",
            code=Code.UNAVAILABLE,
            fault=Fault.SERVER,
            # Proxies in front of a server that restarts answer with any status.
            retryable=True,
            remedy=f"Check the URL: it is the address of {self.access.name}",
        )

    def _refused(self, status: int, body: bytes) -> EgressError:
        told = _told(body)
        if status == 401:
            # Texts of refused tokens repeat the token.
            return Unauthenticated(
                f"{self.access.name} at {self.shown} refused our access token, which is of API key "
                f"{self.access.api_key!r}",
                field="api_key",
                remedy="Check the API key and secret, and that the clocks of both machines are right",
            )
        if told is None:
            return self._other(status)
        code = Code.of_wire(str(told["code"]))
        message = str(told["msg"]).removeprefix(_PREFIX)
        meta = told.get("meta")
        field_ = str(meta.get("field", "")) if isinstance(meta, dict) else ""
        if code is Code.NOT_FOUND:
            return NotFound(message, field=field_)
        caller = status < 500 and not code.passing
        return EgressError(
            message,
            code=code,
            field=field_,
            fault=Fault.CALLER if caller or code is Code.UNIMPLEMENTED else Fault.SERVER,
            retryable=code.passing,
        )

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _told(body: bytes) -> dict[str, Any] | None:
    """Twirp's error, None when the body is none."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) and "code" in told and "msg" in told else None
