from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_crnn.errors import BackendUnavailable, InputError
from edge_crnn.watch.sinks.broker import Address, Broker, Credentials, Message, load_credentials, parse_address, slug
from tests.edge_crnn.watch.sinks.mosquitto import Mosquitto
from tests.edge_crnn.watch.sinks.waiting import until

pytest.importorskip("paho.mqtt", reason="paho-mqtt is not installed; it comes with edge-crnn[watch]")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker.local", Address("broker.local", 1883, False)),
        ("mqtts://broker.local", Address("broker.local", 8883, True)),
        ("mqtt://[::1]:1884/", Address("::1", 1884, False)),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize("url", ["", "broker", "http://broker", "mqtt://", "mqtt://b:x", "mqtt://b/topic", "mqtt://[b"])
def test_another_form_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="mqtt://HOST"):
        parse_address(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="credentials file") as raised:
        parse_address("mqtt://gate:hunter2@broker")
    assert "hunter2" not in str(raised.value)


def test_credentials_come_from_a_file(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "mqtt.json"
    path.write_text('{"username": "gate", "password": "hunter2"}')
    path.chmod(0o600)
    assert load_credentials(path, said.append) == Credentials("gate", "hunter2")
    assert not said
    path.chmod(0o644)
    load_credentials(path, said.append)
    assert "chmod 600" in said[0]


@pytest.mark.parametrize("content", ["", "[]", '{"user": "gate"}', '{"username": 1}'])
def test_other_credentials_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mqtt.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"mqtt\.json"):
        load_credentials(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_credentials(tmp_path / "missing")


@given(st.text(), st.text())
def test_different_names_have_different_slugs_that_fit_into_a_topic(one: str, other: str) -> None:
    assert slug(one)
    assert set(slug(one)).isdisjoint("/+#$ \0")
    assert slug(one).isascii()
    assert one == other or slug(one) != slug(other)


def test_a_plain_name_stays() -> None:
    assert slug("front-door_1") == "front-door_1"


def _hashed(password: str) -> str:
    """Return a password as in mosquitto's files: PBKDF2 with SHA-512."""
    salt, rounds = b"salt of test", 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@pytest.mark.thorough
def test_a_broker_may_ask_for_a_password(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"gate:{_hashed('hunter2')}\n")
    passwords.chmod(0o600)
    with Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {passwords}\n") as mosquitto:
        address = Address("127.0.0.1", mosquitto.port, False)
        said: list[str] = []
        refused = Broker(address, "t/status", credentials=Credentials("gate", "wrong"), say=said.append)
        accepted = Broker(address, "t/status", credentials=Credentials("gate", "hunter2"))
        until(lambda: accepted.is_connected and bool(said))
        assert not refused.is_connected
        time.sleep(1.5)  # another attempt
        assert len(said) == 1
        assert "check the credentials file" in said[0]
        for broker in (refused, accepted):
            broker.close()


@pytest.mark.thorough
# paho-mqtt leaves a socket to the garbage collector if the certificate is refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_broker_may_use_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate of this test, is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} -out {certificate}"
        " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
        shell=True,
        check=True,
        capture_output=True,
    )
    with Mosquitto(tmp_path, f"allow_anonymous true\nkeyfile {key}\ncertfile {certificate}\n") as mosquitto:
        address = Address("127.0.0.1", mosquitto.port, True)
        said: list[str] = []
        trusting = Broker(address, "t/status", credentials=Credentials(ca=str(certificate)))
        doubting = Broker(address, "t/status", say=said.append)
        until(lambda: trusting.is_connected and bool(said))
        trusting.publish([Message("t/a", "1")], lambda: False)
        assert not doubting.is_connected
        assert "cannot be reached" in said[0]
        for broker in (trusting, doubting):
            broker.close()


def test_missing_certificates_are_refused() -> None:
    with pytest.raises(InputError, match="PEM"):
        Broker(Address("127.0.0.1", 1, True), "t/status", credentials=Credentials(ca="/missing.pem"))


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(BackendUnavailable, match=r"edge-crnn\[watch\]"):
        Broker(Address("127.0.0.1", 1, False), "t/status")
