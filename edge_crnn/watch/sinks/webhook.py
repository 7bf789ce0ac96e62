"""Events as HTTP requests."""

from __future__ import annotations

import base64
import http.client
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from ... import __version__
from ...errors import InputError, OutputError
from ...progress import note
from .. import jpeg
from ..event import Event
from ..opencv import opencv
from ..protocols import CLOSE_S
from .form import as_json, dumps
from .queued import Queued, detached, size_of

_REFUSALS: Final = frozenset({400, 409, 410, 413, 414, 415, 422})
"""Answers to what is sent, which another attempt would get again. All others may change: a login, a path, a server."""
_MOST_PASSAGES: Final = 1000
_MOST_ANSWER: Final = 1 << 16


@dataclass(frozen=True)
class _Numbered:
    event: Event
    number: int
    """Place among the events of its passage, from 1."""


class Webhook:
    """Posts every event as JSON: the fields of `EventRecord`, and `image`, the crop as JPEG in base64, or null.

    The header `Idempotency-Key` is IDENTITY-KIND-NUMBER; it is the same in every attempt, so a server that has it
    already can ignore the request. Any answer 2xx means success.

    Args:
        url: an address with http or https.
        token: sent as `Authorization: Bearer TOKEN`; None: nothing is sent.
        timeout_s: the longest wait for the connection, and for every part of the answer.
        pauses: the shortest and the longest pause before another attempt, in seconds.
        say: takes notes for the user.

    Raises:
        BackendUnavailable: OpenCV is not installed.
        InputError: the URL or the token has another form.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        pauses: tuple[float, float] = (1.0, 30.0),
        say: Callable[[str], None] = note,
    ) -> None:
        opencv()
        self._url = parse_url(url)
        if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
            raise InputError(
                "the token of the webhook has characters that a header cannot hold; expected visible ASCII"
            )
        self._token = token
        self._timeout_s = timeout_s
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._name = f"{self._url.scheme}://{self._url.hostname}"
        if self._url.port is not None:
            self._name += f":{self._url.port}"
        self.queue: Queued[_Numbered] = Queued(self._name, self._post, pauses=pauses, say=say)

    def put(self, event: Event) -> None:
        """Take an event."""
        event = detached(event)
        self.queue.put(_Numbered(event, self._next(event)), size_of(event))

    def close(self, within_s: float = CLOSE_S) -> None:
        """Post what is left."""
        self.queue.close(within_s)

    def _next(self, event: Event) -> int:
        number = self._numbers.pop(event.identity, 0) + 1
        if event.kind != "end":
            self._numbers[event.identity] = number
        if len(self._numbers) > _MOST_PASSAGES:
            self._numbers.popitem(last=False)
        return number

    def _post(self, numbered: _Numbered) -> None:
        body, headers = self._request(numbered)
        connection = self._connection()
        target = self._url.path or "/"
        if self._url.query:
            target += f"?{self._url.query}"
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise OutputError(None, f"{self._name}: no answer ({error or type(error).__name__})") from error
        finally:
            connection.close()
        if answer.status in _REFUSALS:
            raise InputError(f"{self._name}: refuses an event ({answer.status} {answer.reason})")
        if not 200 <= answer.status < 300:
            raise OutputError(None, f"{self._name}: answered {answer.status} {answer.reason}, expected 2xx")

    def _request(self, numbered: _Numbered) -> tuple[bytes, dict[str, str]]:
        event = numbered.event
        image = base64.b64encode(jpeg.encode(event.crop)).decode() if event.crop.size else None
        content: dict[str, Any] = {**as_json(event), "image": image}
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": f"{event.identity}-{event.kind}-{numbered.number}",
            "User-Agent": f"edge-crnn/{__version__}",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return dumps(content).encode(), headers

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, self._url.port, timeout=self._timeout_s, context=context)
        return http.client.HTTPConnection(host, self._url.port, timeout=self._timeout_s)


def parse_url(url: str) -> SplitResult:
    """Read the address of a webhook.

    Raises:
        InputError: it is not http or https, has no host, or holds a password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InputError(f"the webhook's address is no URL ({error}); write http://HOST/PATH") from error
    if parts.username is not None or parts.password is not None:
        raise InputError("the webhook's address has a user or a password, which others can see; use a token")
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise InputError(f"found {parts.scheme or 'no scheme'!r} in the webhook's address, expected http or https")
    return parts
