"""Who is believed: every way in which a token can be wrong, and the few things that are read of a good one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from checkout.tokens import SECRET_BYTES_MIN, Caller, NotBelieved, SharedSecret, Tokens, issue
from checkout.wrong_setting import WrongSetting

SECRET = b"a secret of the tests, longer than HS256 needs it to be, since one test signs with HS512"
TOKENS = Tokens(SharedSecret(SECRET))


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "anna", "exp": int(time.time()) + 600, **more}


def signed(told: dict[str, Any], secret: bytes = SECRET, **more: Any) -> str:
    return jwt.encode(told, secret, **{"algorithm": "HS256", **more})


def by_hand(header: bytes, payload: bytes, secret: bytes = SECRET) -> str:
    """A token that no library would write."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload)]
    signature = hmac.new(secret, b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


async def test_a_good_token_says_who_asks() -> None:
    caller = await TOKENS.read(signed(claims(email="anna@example.com", scope="support refunds")))

    assert caller == Caller("anna", "anna@example.com", frozenset({"support", "refunds"}))


async def test_what_we_issue_we_believe() -> None:
    caller = Caller("anna", "anna@example.com", frozenset({"support"}))

    assert await TOKENS.read(issue(SECRET, caller, lifetime_seconds=60)) == caller
    assert await TOKENS.read(issue(SECRET, Caller("b"), lifetime_seconds=60)) == Caller("b")


HOUR_AGO = int(time.time()) - 3600

NOT_BELIEVED: dict[str, str] = {
    "nothing": "",
    "no token": "abc",
    "two parts": "a.b",
    "not base64": "!.!.!",
    "another secret": signed(claims(), b"another secret that is also long enough"),
    "another algorithm": signed(claims(), algorithm="HS512"),
    "alg none": by_hand(b'{"alg":"none"}', json.dumps(claims()).encode()),
    "alg none in capitals": by_hand(b'{"alg":"NONE"}', json.dumps(claims()).encode()),
    "alg none and no signature": by_hand(b'{"alg":"none"}', json.dumps(claims()).encode()).rsplit(".", 1)[0] + ".",
    "no algorithm": by_hand(b"{}", json.dumps(claims()).encode()),
    "signature cut off": signed(claims()).rsplit(".", 1)[0] + ".",
    "claims exchanged": ".".join(
        [signed(claims()).split(".")[0], signed(claims(sub="bob")).split(".")[1], signed(claims()).split(".")[2]]
    ),
    "expired": signed(claims(exp=HOUR_AGO)),
    "expires never": signed({"sub": "anna"}),
    "expires at no time": signed(claims(exp="soon")),
    "expires at infinity": by_hand(b'{"alg":"HS256"}', b'{"sub":"anna","exp":1e999}'),
    "not valid yet": signed(claims(nbf=int(time.time()) + 3600)),
    "issued tomorrow": signed(claims(iat=int(time.time()) + 86_400)),
    "for another audience": signed(claims(aud="somebody-else")),
    "nobody": signed({"exp": int(time.time()) + 600}),
    "an empty subject": signed(claims(sub="")),
    "a subject that is no text": by_hand(b'{"alg":"HS256"}', b'{"sub":7,"exp":9999999999}'),
    "a subject that is too long": signed(claims(sub="x" * 256)),
    "a subject that Postgres cannot hold": signed(claims(sub="an\0na")),
    "a subject that is no character": by_hand(b'{"alg":"HS256"}', rb'{"sub":"\ud800","exp":9999999999}'),
    "claims that are no object": by_hand(b'{"alg":"HS256"}', b"[1]"),
    "claims without an end": by_hand(b'{"alg":"HS256"}', b"[" * 50_000),
    "a header without an end": by_hand(b"[" * 50_000, b"{}"),
    "something critical": by_hand(b'{"alg":"HS256","crit":["exp"],"exp":1}', json.dumps(claims()).encode()),
    "a key of its own": by_hand(
        b'{"alg":"HS256","jwk":{"kty":"oct","k":"YWFh"},"kid":"../../dev/null"}', json.dumps(claims()).encode(), b"aaa"
    ),
    "not ascii": "é.é.é",
}


@pytest.mark.parametrize("token", NOT_BELIEVED.values(), ids=NOT_BELIEVED.keys())
async def test_a_token_that_is_not_good_is_not_believed(token: str) -> None:
    with pytest.raises(NotBelieved):
        await TOKENS.read(token)


async def test_a_token_signed_with_a_public_key_as_if_it_were_a_secret_is_not_believed() -> None:
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(NotBelieved):
        await TOKENS.read(by_hand(b'{"alg":"HS256"}', json.dumps(claims()).encode(), pem))


async def test_an_audience_and_an_issuer_that_are_set_must_be_named() -> None:
    strict = Tokens(SharedSecret(SECRET), audience="payments", issuer="https://id.example")
    good = signed(claims(aud=["payments", "other"], iss="https://id.example"))

    assert (await strict.read(good)).user_id == "anna"
    for told in (
        claims(),
        claims(aud="payments"),
        claims(iss="https://id.example"),
        claims(aud="other", iss="https://id.example"),
        claims(aud="payments", iss="https://evil.example"),
    ):
        with pytest.raises(NotBelieved):
            await strict.read(signed(told))


@pytest.mark.parametrize(
    "email", [None, 7, "", "anna", "anna@", "@x", "a b@x.org", "a@x.org\r\nBcc: b@x.org", "a@x@y", "x" * 250 + "@x.org"]
)
async def test_an_address_that_no_mail_reaches_is_no_reason_to_refuse_a_customer(email: object) -> None:
    assert (await TOKENS.read(signed(claims(email=email)))).email is None


@pytest.mark.parametrize("scope", [None, 7, ["support"], {"support": True}])
async def test_a_scope_that_is_no_text_gives_nothing(scope: object) -> None:
    assert (await TOKENS.read(signed(claims(scope=scope)))).scopes == frozenset()


async def test_a_clock_that_differs_a_little_is_forgiven() -> None:
    caller = await TOKENS.read(signed(claims(exp=int(time.time()) - 5)))

    assert caller.user_id == "anna"


def test_a_short_secret_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(WrongSetting, match="AUTH_JWT_SECRET must have at least 32 bytes"):
        SharedSecret(b"x" * (SECRET_BYTES_MIN - 1))


def test_neither_a_secret_nor_an_address_shows_itself() -> None:
    shown = repr((TOKENS, Caller("anna", "anna@example.com")))

    assert "secret of the tests" not in shown
    assert "example.com" not in shown
