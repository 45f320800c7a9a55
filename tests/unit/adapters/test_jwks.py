"""An identity provider's keys: which count, for what, when they are fetched, and what no token can do."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import Unreachable
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.jwks import Jwks, from_file, from_url, public_keys
from imrs_server.domain.errors import AddressForbidden, TokenExpired, TokenInvalid
from imrs_server.transport.tokens import Trust, Verifier
from tests.support.threads import StoppedBeforeClear
from tests.support.waiting import eventually
from tests.unit.adapters.test_addresses import FORBIDDEN
from tests.unit.transport.test_tokens import SECRET, claims

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imrs_server.adapters.jwks import PublicKey

TRUST = Trust(secrets=(SECRET,), public_issuer="https://idp.example", public_audience="models")
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def described(private: Any, kid: Any, **more: Any) -> dict[str, Any]:
    """A public key as a JWK."""
    public = private.public_key()
    algorithms: dict[type, Any] = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    kind = next(made for base, made in algorithms.items() if isinstance(private, base))
    return {**kind.to_jwk(public, as_dict=True), "kid": kid, **more}


def key_set(**keys: Any) -> dict[str, Any]:
    return {"keys": [described(private, kid) for kid, private in keys.items()]}


def signed(private: Any, algorithm: str, kid: Any, **changes: Any) -> str:
    told = claims(iss="https://idp.example", aud="models", **changes)
    return jwt.encode(told, private, algorithm=algorithm, headers={"kid": kid} if kid is not None else {})


def verifier(document: dict[str, Any], **options: Any) -> Verifier:
    keys = Jwks(lambda: document, **options)
    assert keys.refresh()
    return Verifier(TRUST, find_key=keys.find)


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_token_of_the_identity_provider_is_accepted(algorithm: str) -> None:
    who = verifier(key_set(**PRIVATE)).verify(signed(PRIVATE[algorithm], algorithm, algorithm))
    assert who.subject == "ann"


def test_both_kinds_of_token_are_accepted_each_with_its_own_issuer() -> None:
    both = verifier(key_set(**PRIVATE))
    assert both.verify(jwt.encode(claims(), SECRET, algorithm="HS256")).subject == "ann"
    crossed = [
        jwt.encode(claims(), PRIVATE["RS256"], algorithm="RS256", headers={"kid": "RS256"}),
        jwt.encode(claims(iss="https://idp.example", aud="models"), SECRET, algorithm="HS256"),
    ]
    for token in crossed:
        with pytest.raises(TokenInvalid):
            both.verify(token)


def test_an_expired_token_of_a_known_key_is_told_apart() -> None:
    token = signed(PRIVATE["ES256"], "ES256", "ES256", exp=int(time.time()) - 3600)
    with pytest.raises(TokenExpired):
        verifier(key_set(**PRIVATE)).verify(token)


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = part(claims(iss="https://idp.example", aud="models"))
    return f"{part(header)}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def hmac_with_public_key() -> str:
    """The old trick: the public key's text as the secret of HS256."""
    pem = (
        PRIVATE["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    header = {"alg": "HS256", "kid": "RS256"}
    unsigned = forged(header).rpartition(".")[0]
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(unsigned.encode(), pem)
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(OTHER, "RS256", "RS256"), id="another key under the same kid"),
        pytest.param(hmac_with_public_key(), id="HS256 with the public key as secret"),
        pytest.param(forged({"alg": "none", "kid": "RS256"}), id="alg none"),
        pytest.param(forged({"alg": "None", "kid": "RS256"}), id="alg None"),
        pytest.param(signed(PRIVATE["RS256"], "RS384", "RS256"), id="another algorithm of the same key"),
        pytest.param(signed(PRIVATE["RS256"], "PS256", "RS256"), id="another padding"),
        pytest.param(signed(PRIVATE["RS256"], "RS256", "ES256"), id="the kid of another key"),
        pytest.param(signed(PRIVATE["RS256"], "RS256", None), id="no kid"),
        pytest.param(forged({"alg": "RS256", "kid": 7}, b"x"), id="a kid that is a number"),
        pytest.param(forged({"alg": "RS256", "kid": ["RS256"]}, b"x"), id="a kid that is a list"),
        pytest.param(forged({"alg": ["RS256"], "kid": "RS256"}, b"x"), id="an alg that is a list"),
        pytest.param(signed(PRIVATE["RS256"], "RS256", "../../etc/passwd"), id="a kid that is a path"),
        pytest.param(signed(PRIVATE["RS256"], "RS256", "' or 1=1 --"), id="a kid that is SQL"),
        pytest.param(signed(PRIVATE["RS256"], "RS256", "k" * 3000), id="a long kid"),
        pytest.param(
            jwt.encode(
                claims(iss="https://idp.example", aud="models"),
                OTHER,
                algorithm="RS256",
                headers={"kid": "mine", "jku": "https://evil.example/keys", "jwk": described(OTHER, "mine")},
            ),
            id="a key that the token brings along",
        ),
    ],
)
def test_a_forged_token_is_invalid_and_nothing_more_is_said(token: str) -> None:
    with pytest.raises(TokenInvalid) as caught:
        verifier(key_set(**PRIVATE), wait_seconds=0.01).verify(token)
    assert str(caught.value) == "The token is not valid."


def test_keys_that_are_no_good_are_passed_over() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    document = {
        "keys": [
            described(OTHER, "good"),
            described(PRIVATE["RS256"], "good"),  # the first of a name counts
            described(weak, "weak"),
            described(OTHER, "for encryption", use="enc"),
            described(OTHER, "other algorithm", alg="RS512"),
            described(ec.generate_private_key(ec.SECP384R1()), "other curve"),
            described(OTHER, ""),
            described(OTHER, 7),
            {"kty": "oct", "kid": "symmetric", "k": base64.urlsafe_b64encode(SECRET).decode()},
            {"kty": ["RSA"], "kid": "list"},
            {"kty": "RSA", "kid": "broken", "n": 1, "e": None},
            "text",
            None,
        ]
    }
    found = public_keys(document)
    assert set(found) == {"good"}
    assert found["good"].key.public_numbers() == OTHER.public_key().public_numbers()


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, "text", {"keys": [{}]}])
def test_what_is_no_key_set_leaves_the_last_good_keys(document: Any) -> None:
    answers: list[Any] = [key_set(**PRIVATE), document]
    keys = Jwks(lambda: answers.pop(0))
    assert keys.refresh()
    assert not keys.refresh()
    assert keys.find("RS256")


def test_the_last_good_keys_outlive_an_outage_and_a_withdrawn_one_does_not_outlive_its_end() -> None:
    def down() -> Any:
        raise Unreachable("no answer in time")

    sources: list[Callable[[], Any]] = [
        lambda: key_set(**PRIVATE),
        down,
        lambda: key_set(ES256=PRIVATE["ES256"]),
    ]
    keys = Jwks(lambda: sources.pop(0)())
    both = Verifier(TRUST, find_key=keys.find)
    keys.changed = both.forget
    keys.refresh()
    token = signed(PRIVATE["RS256"], "RS256", "RS256")
    assert both.verify(token).subject == "ann"
    assert not keys.refresh()
    assert both.verify(token).subject == "ann"
    assert keys.refresh()
    with pytest.raises(TokenInvalid):  # though it was remembered
        both.verify(token)


def test_unknown_names_cost_one_fetch_in_30_s_and_hold_two_threads_at_most() -> None:
    now = [0.0]
    fetches: list[float] = []
    may_answer = threading.Event()

    def slow() -> Any:
        fetches.append(now[0])
        may_answer.wait(60)
        return key_set(**PRIVATE)

    may_answer.set()
    keys = Jwks(slow, clock=lambda: now[0], wait_seconds=60)
    keys.start()
    try:
        assert keys.find("RS256")
        for number in range(100):
            assert keys.find(f"invented-{number}") is None
        assert len(fetches) == 1

        may_answer.clear()
        now[0] = 31.0
        held = [threading.Thread(target=keys.find, args=("new",)) for _ in range(2)]
        for each in held:
            each.start()
        while keys._waiters._value:
            time.sleep(0.001)
        start = time.monotonic()
        assert all(keys.find(f"invented-{number}") is None for number in range(100))
        assert keys.find("RS256")
        assert time.monotonic() - start < 20
        may_answer.set()
        for each in held:
            each.join()
        assert fetches == [0.0, 31.0]
    finally:
        may_answer.set()
        keys.stop()


def test_a_new_key_counts_as_soon_as_a_token_names_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(key_set(old=OTHER)))
    now = [0.0]
    keys = Jwks(from_file(path), clock=lambda: now[0], wait_seconds=60)
    keys.start()
    try:
        assert keys.find("old")
        path.write_text(json.dumps(key_set(old=OTHER, new=PRIVATE["RS256"])))
        assert keys.find("new") is None
        now[0] = 31.0
        assert keys.find("new")
    finally:
        keys.stop()


def test_who_asks_while_the_set_is_read_waits_for_the_next_reading() -> None:
    now = [0.0]
    answers = [key_set(old=OTHER), key_set(old=OTHER, new=PRIVATE["RS256"])]
    reading, may_end = threading.Event(), threading.Event()

    def changed() -> None:
        reading.set()
        may_end.wait(60)

    def source() -> Any:
        if now[0]:
            asking.join(0.2)  # time to go away with what the first reading brought
        return answers.pop(0)

    found: list[object] = []
    keys = Jwks(source, clock=lambda: now[0], wait_seconds=60)
    keys.changed = changed
    asking = threading.Thread(target=lambda: found.append(keys.find("new")))
    keys.start()
    try:
        assert reading.wait(30)
        now[0] = 31.0
        asking.start()
        while not keys._wanted.is_set():
            time.sleep(0.001)
        may_end.set()
        asking.join()
        assert found != [None]
    finally:
        may_end.set()
        keys.stop()


def test_who_asks_in_the_moment_in_which_the_set_was_read_is_told_what_it_brought() -> None:
    """It looks for the key, the thread reads the set, and then nothing is due any more."""
    now = 0.0

    def clock() -> float:
        if not keys._keys:
            keys._keys = public_keys(key_set(**PRIVATE))
            keys._read_at = now
        return now

    keys = Jwks(lambda: None, clock=clock, wait_seconds=0.01)
    assert keys.find("RS256")


def test_who_finds_the_time_of_a_reading_finds_its_keys() -> None:
    """Nobody may think that the set was just read, and not see what it brought."""
    known: list[bool] = []

    def clock() -> float:
        known.append("RS256" in keys._keys)
        return 0.0

    keys = Jwks(lambda: key_set(**PRIVATE), clock=clock)
    assert keys.refresh()
    assert known == [True]


def test_who_stops_it_in_the_moment_that_it_begins_to_read_is_heard() -> None:
    keys = Jwks(lambda: key_set(**PRIVATE))
    keys._wanted = StoppedBeforeClear(keys.stop)
    keys.start()
    eventually(lambda: not keys._thread.is_alive())


def test_a_token_that_is_checked_while_its_key_is_withdrawn_is_not_remembered() -> None:
    document = key_set(**PRIVATE)
    keys = Jwks(lambda: document)
    assert keys.refresh()

    def find(kid: str) -> PublicKey | None:
        found = keys.find(kid)
        document["keys"] = key_set(old=OTHER)["keys"]
        keys.refresh()
        return found

    verifier = Verifier(TRUST, find_key=find)
    keys.changed = verifier.forget
    token = signed(PRIVATE["ES256"], "ES256", "ES256")
    assert verifier.verify(token).subject == "ann"
    with pytest.raises(TokenInvalid):
        verifier.verify(token)


@pytest.mark.parametrize("content", ["", "{", "\xff", "[" * 100_000, "x" * (1 << 20) + "y"])
def test_a_file_that_is_no_key_set_is_refused_and_not_quoted(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content, encoding="latin-1")
    assert not Jwks(from_file(path)).refresh()
    assert not Jwks(from_file(tmp_path / "none")).refresh()
    assert "jwks.failed" in capsys.readouterr().out


@pytest.mark.parametrize("url", FORBIDDEN[:21])
def test_the_21_forbidden_addresses_are_refused_before_anything_is_called(url: str) -> None:
    with pytest.raises(AddressForbidden):
        from_url(GuardedClient(AddressRules()), url)
