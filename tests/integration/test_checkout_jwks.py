"""The keys of an identity provider: fetched once, kept, rotated, and neither begged for nor forgotten in an outage."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from checkout.jwks import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, RemoteKeys
from checkout.tokens import KeysAway, NotBelieved, Tokens
from checkout.wrong_setting import WrongSetting
from tests.counter import counter, problem
from tests.receivers import HttpReceiver, answer, http_receiver

RSA = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("old", "new")}
CURVE = ec.generate_private_key(ec.SECP256R1())


def published(*names: str, **more: Any) -> bytes:
    keys = [{**RSAAlgorithm.to_jwk(RSA[name].public_key(), as_dict=True), "kid": name, **more} for name in names]
    return answer(200, "content-type: application/json", body=json.dumps({"keys": keys}).encode())


def token(name: str, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
    told = {"sub": "anna", "exp": int(time.time()) + 600, **claims}
    return jwt.encode(told, key or RSA[name], algorithm=algorithm, headers={"kid": name})


@dataclass
class Provider:
    """``now`` is the clock that the keys grow old by."""

    receiver: HttpReceiver
    tokens: Tokens
    now: list[float]

    @property
    def asked(self) -> int:
        return len(self.receiver.requests)

    def publish(self, what: bytes) -> None:
        self.receiver.answers[:] = [what]

    async def wait_until_asked(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.asked < times:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def provider(first: bytes) -> AsyncIterator[Provider]:
    now = [0.0]
    async with http_receiver(first) as receiver:
        keys = RemoteKeys(f"http://127.0.0.1:{receiver.port}/keys", production=False, now=lambda: now[0])
        yield Provider(receiver, Tokens(keys), now)


async def test_keys_are_fetched_once_and_kept() -> None:
    async with provider(published("old")) as idp:
        callers = await asyncio.gather(*(idp.tokens.read(token("old")) for _ in range(20)))

        assert {caller.user_id for caller in callers} == {"anna"}
        assert idp.asked == 1


async def test_a_rotated_key_is_fetched_when_it_is_first_met() -> None:
    async with provider(published("old")) as idp:
        await idp.tokens.read(token("old"))
        idp.publish(published("new", "old"))
        idp.now[0] += PAUSE_SECONDS + 1

        await idp.tokens.read(token("new"))
        await idp.tokens.read(token("old"))

        assert idp.asked == 2


async def test_invented_key_names_do_not_make_us_beg_the_provider() -> None:
    async with provider(published("old")) as idp:
        await idp.tokens.read(token("old"))
        for n in range(30):
            with pytest.raises(NotBelieved):
                await idp.tokens.read(token(f"invented-{n}", RSA["new"]))

        assert idp.asked == 1


async def test_a_withdrawn_key_is_believed_no_longer_once_the_set_was_fetched_again() -> None:
    async with provider(published("old", "new")) as idp:
        await idp.tokens.read(token("old"))
        idp.publish(published("new"))
        idp.now[0] += FRESH_SECONDS + 1
        await idp.tokens.read(token("new"))
        await idp.wait_until_asked(2)

        with pytest.raises(NotBelieved):
            await idp.tokens.read(token("old"))


async def test_an_outage_of_the_provider_is_bridged_for_an_hour_and_no_longer() -> None:
    async with provider(published("old")) as idp:
        await idp.tokens.read(token("old"))
        idp.publish(answer(503))

        idp.now[0] += FRESH_SECONDS + 1
        assert (await idp.tokens.read(token("old"))).user_id == "anna"
        idp.now[0] += PAUSE_SECONDS + 1
        with pytest.raises(KeysAway):
            await idp.tokens.read(token("new"))
        idp.now[0] += STALE_SECONDS
        with pytest.raises(KeysAway):
            await idp.tokens.read(token("old"))
        idp.publish(published("old"))
        idp.now[0] += PAUSE_SECONDS + 1
        assert (await idp.tokens.read(token("old"))).user_id == "anna"


@pytest.mark.parametrize(
    "broken",
    [
        answer(500),
        answer(302, "location: /elsewhere"),
        answer(200, body=b"not json"),
        answer(200, body=b"[]"),
        answer(200, body=b'{"keys": []}'),
        answer(200, body=b'{"keys": [{"kty": "RSA"}]}'),
    ],
)
async def test_a_provider_that_answers_nonsense_is_away(broken: bytes) -> None:
    async with provider(broken) as idp:
        with pytest.raises(KeysAway):
            await idp.tokens.read(token("old"))


async def test_an_elliptic_key_serves_and_a_symmetric_one_does_not() -> None:
    secret = b"published by mistake, and so no secret at all"
    keys = [
        {**ECAlgorithm.to_jwk(CURVE.public_key(), as_dict=True), "kid": "curve"},
        {**HMACAlgorithm.to_jwk(secret, as_dict=True), "kid": "shared"},
    ]
    async with provider(answer(200, body=json.dumps({"keys": keys}).encode())) as idp:
        assert (await idp.tokens.read(token("curve", CURVE, "ES256"))).user_id == "anna"
        with pytest.raises(NotBelieved):
            await idp.tokens.read(token("shared", secret, "HS256"))


async def test_a_key_serves_its_own_algorithm_and_for_signing_alone() -> None:
    async with provider(published("old", alg="RS512")) as idp:
        assert await idp.tokens.read(token("old", algorithm="RS512")) is not None
        with pytest.raises(NotBelieved):
            await idp.tokens.read(token("old", algorithm="RS256"))
    async with provider(published("old", use="enc")) as idp:
        with pytest.raises(NotBelieved):
            await idp.tokens.read(token("old"))


async def test_a_token_that_names_no_key_is_not_believed() -> None:
    async with provider(published("old")) as idp:
        nameless = jwt.encode({"sub": "anna", "exp": int(time.time()) + 600}, RSA["old"], algorithm="RS256")

        with pytest.raises(NotBelieved):
            await idp.tokens.read(nameless)


def test_the_address_of_the_keys_is_encrypted_in_production() -> None:
    with pytest.raises(WrongSetting, match="AUTH_JWKS_URL"):
        RemoteKeys("http://id.example/keys", production=True)
    with pytest.raises(WrongSetting, match="AUTH_JWKS_URL"):
        RemoteKeys("file:///etc/passwd", production=False)


async def test_without_its_keys_the_service_asks_to_come_again(database_url: str) -> None:
    async with provider(answer(503)) as idp, counter(database_url, tokens=idp.tokens) as shop:
        headers = {"Authorization": f"Bearer {token('old')}"}
        away = await shop.http.get("/plans", headers=headers)
        idp.publish(published("old"))
        idp.now[0] += PAUSE_SECONDS + 1
        back = await shop.http.get("/plans", headers=headers)

        assert problem(away) == (503, "unavailable")
        assert int(away.headers["retry-after"]) > 0
        assert back.status_code == 200
