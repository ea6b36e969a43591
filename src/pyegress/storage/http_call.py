"""One HTTP request to a storage or what belongs to it, where its library has no word for it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from pyegress.plan.storage import Proxy, Storage
from pyegress.storage.failures import upload_failed
from pyegress.storage.locations import proxy_url

#: Seconds for a connection.
CONNECT = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def described(self) -> str:
        """As `upload_failed` reads it."""
        return f"status code {self.status} {self.text}"


async def call(
    storage: Storage,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    proxy: Proxy | None = None,
    timeout: float = 30.0,
) -> Answer:
    """The answer, whatever it says. `url` is encoded. Raises OutputFailed when nobody answers within `timeout`, s."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT)) as session,
            session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                # In pieces: the event loop has other things to do meanwhile.
                data=io.BytesIO(body) if body else None,
                skip_auto_headers=("Content-Type", "User-Agent"),
                allow_redirects=False,
                proxy=proxy_url(proxy),
            ) as response,
        ):
            text = (await response.read()).decode(errors="replace")
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, text)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise upload_failed(storage, _sign(error)) from None


def _sign(error: Exception) -> str:
    """The word by which `upload_failed` knows the cause."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns error"
        case aiohttp.ClientConnectorCertificateError():
            return "invalid peer certificate"
        case aiohttp.ClientConnectorSSLError():
            return "CorruptMessage"
        case aiohttp.ClientHttpProxyError(status=status):
            return f"status code {status}"
        case TimeoutError():
            return "timed out"
        case aiohttp.ClientConnectorError():
            return "tcp connect error"
    return "the connection broke"
