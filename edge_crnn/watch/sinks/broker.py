"""The connection to an MQTT broker, which is made again whenever it is lost."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ...errors import BackendUnavailable, InputError, OutputError
from ...files import sha256
from ...model.typed import build
from ...progress import note

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

ONLINE: Final = "online"
OFFLINE: Final = "offline"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_S: Final = 30
_POLL_S: Final = 0.2
_NOT_SLUG: Final = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True)
class Credentials:
    """What a broker asks for, in a JSON file: `{"username": "gate", "password": "…", "ca": "/etc/ssl/broker.pem"}`."""

    username: str | None = None
    password: str | None = None
    ca: str | None = None
    """File of the authorities that a broker's certificate may be from, in PEM; None: those of the system."""
    certificate: str | None = None
    """File of this client's certificate, in PEM."""
    key: str | None = None
    """File of the key of this client's certificate, in PEM."""


@dataclass(frozen=True)
class Address:
    """Where a broker is."""

    host: str
    port: int
    is_encrypted: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.is_encrypted else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Message:
    """A message to publish."""

    topic: str
    payload: str | bytes
    retain: bool = False


def parse_address(url: str) -> Address:
    """Read `mqtt://HOST[:PORT]`, or `mqtts://HOST[:PORT]` for TLS; the ports are 1883 and 8883 by default.

    Raises:
        InputError: the URL has another form, or holds a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(f"the broker's address is no URL ({error}); write mqtt://HOST:PORT") from error
    if parts.username is not None or parts.password is not None:
        raise InputError("the broker's address has a user or a password, which others can see; use a credentials file")
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise InputError(f"found {url[:100]!r}, expected mqtt://HOST:PORT or mqtts://HOST:PORT")
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts")


def load_credentials(path: Path, say: Callable[[str], None] = note) -> Credentials:
    """Read a file of credentials; say so if every user of the machine may read it.

    Raises:
        InputError: the file cannot be read, or has another form.
    """
    try:
        with path.open("rb") as file:
            data = file.read(1 << 16)
        if path.stat().st_mode & 0o004:
            say(f"{path}: may be read by every user of this machine; run `chmod 600 {path}`")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a JSON file of credentials") from error
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: not JSON; write {{"username": …, "password": …}}') from error
    return build(Credentials, content, str(path), InputError)


def slug(name: str) -> str:
    """Return a name for topics: letters, digits, _ and -. Different names have different slugs."""
    plain = _NOT_SLUG.sub("_", name).strip("_")
    if plain == name and name:
        return name
    return f"{plain}_{sha256(name.encode('utf-8', 'surrogatepass'))[:6]}".lstrip("_")


class Broker:
    """A connection to a broker. A thread of its own connects, and connects again with a growing pause.

    The topic `status` is online while it is connected, and offline otherwise; both are retained.

    Args:
        address: where the broker is.
        status: the topic of the state and of the last will.
        credentials: what the broker asks for.
        client_id: the name of this client; the broker disconnects another client of the same name. Empty: the broker
            chooses a name.
        greeting: returns the messages to publish after every connection, and after every birth message.
        birth: the topic on which a consumer says `online` when it starts; None: there is none.
        pauses: the shortest and the longest pause before another attempt, in whole seconds.
        say: takes notes for the user.

    Raises:
        BackendUnavailable: paho-mqtt is not installed.
        InputError: a file of the credentials cannot be read.
    """

    def __init__(
        self,
        address: Address,
        status: str,
        *,
        credentials: Credentials | None = None,
        client_id: str = "",
        greeting: Callable[[], Iterable[Message]] = tuple,
        birth: str | None = None,
        pauses: tuple[int, int] = (1, 10),
        say: Callable[[str], None] = note,
    ) -> None:
        self.address = address
        self._status = status
        self._greeting = greeting
        self._birth = birth
        self._say = say
        self._trouble: str | None = None
        self._is_closing = False
        self._connected = threading.Event()
        self._client = _client(client_id)
        self._secure(credentials or Credentials())
        self._client.reconnect_delay_set(*pauses)
        self._client.will_set(status, OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.connect_async(address.host, address.port, _KEEPALIVE_S)
        self._client.loop_start()

    @property
    def is_connected(self) -> bool:
        """True if the broker has accepted the connection."""
        return self._connected.is_set()

    def publish(self, messages: Iterable[Message], is_late: Callable[[], bool]) -> None:
        """Publish messages in order, and wait until the broker has confirmed them all, through any outage.

        Args:
            messages: the messages.
            is_late: returns whether to give up.

        Raises:
            OutputError: it is late, and a message has not been confirmed.
        """
        while not self._connected.wait(_POLL_S):
            self._check_time(is_late)
        sent = [self._send(message) for message in messages]
        for info in sent:
            while not info.is_published():
                self._check_time(is_late)
                info.wait_for_publish(_POLL_S)

    def close(self, within_s: float = 2.0) -> None:
        """Say that this client goes offline, and disconnect."""
        self._is_closing = True
        if self._connected.is_set():
            info = self._send(Message(self._status, OFFLINE, retain=True))
            deadline = time.monotonic() + within_s
            while not info.is_published() and time.monotonic() < deadline:
                info.wait_for_publish(_POLL_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self, message: Message) -> MQTTMessageInfo:
        from paho.mqtt.enums import MQTTErrorCode

        info = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN:
            # The client keeps the message and sends it after it has connected; with the error, waiting would raise.
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        return info

    def _check_time(self, is_late: Callable[[], bool]) -> None:
        if is_late():
            raise OutputError(None, f"{self.address}: {self._trouble or 'the broker has not confirmed an event'}")

    def _secure(self, credentials: Credentials) -> None:
        if credentials.username is not None:
            self._client.username_pw_set(credentials.username, credentials.password)
        if not self.address.is_encrypted:
            return
        try:
            self._client.tls_set(credentials.ca, credentials.certificate, credentials.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InputError(
                f"{self.address}: the certificates cannot be used ({error}); name files in PEM in the credentials file"
            ) from error

    def _on_connect(self, client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Runs in the client's thread, as all callbacks; publishing there only queues."""
        if reason.is_failure:
            self._note_trouble(f"the broker refuses the connection ({reason}); check the credentials file")
            return
        if self._birth is not None:
            client.subscribe(self._birth, qos=1)
        self._greet()
        if self._trouble is not None:
            self._say(f"{self.address}: connected")
            self._trouble = None
        self._connected.set()

    def _on_connect_fail(self, _client: Client, _userdata: Any) -> None:
        self._note_trouble("the broker cannot be reached; trying again")

    def _on_disconnect(self, _client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connected.clear()
        self._note_trouble(f"the connection is lost ({reason}); trying again")

    def _on_message(self, _client: Client, _userdata: Any, message: Any) -> None:
        if message.topic == self._birth and message.payload == ONLINE.encode():
            self._greet()

    def _greet(self) -> None:
        # With QoS 0, since a greeting that is lost with its connection is sent again by the next one.
        for message in (Message(self._status, ONLINE, retain=True), *self._greeting()):
            self._client.publish(message.topic, message.payload, retain=message.retain)

    def _note_trouble(self, trouble: str) -> None:
        if self._trouble is None and not self._is_closing:
            self._say(f"{self.address}: {trouble}")
            self._trouble = trouble


def _client(client_id: str) -> Client:
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise BackendUnavailable(f"MQTT needs paho-mqtt ({error}); pip install 'edge-crnn[watch]'") from error
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.max_queued_messages_set(0)  # the queue is bounded before the client, which has one event at a time
    return client
