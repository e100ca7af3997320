"""Every gateway's signature check, under one suite: its own bytes pass, and nobody else's do."""

from __future__ import annotations

import json

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.gateway import Rejected, Secret, Verified
from gateways.reading import NotAnEvent, parse
from gateways.registry import GATEWAYS
from tests.contract.providers import NOW, PROVIDERS, Provider
from tests.contract.recorded import FIXTURES, needs_fixtures
from tests.signed import as_received, razorpay_headers

SECRET, OTHER_SECRET = "whsec_test_secret", "whsec_test_other"
SECRETS = (Secret(SECRET.encode()),)
BODY = '{"id": "evt_1", "amount": 4900, "name": "Zoë"}'.encode()

every_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=str)


def test_every_registered_gateway_is_under_this_suite() -> None:
    assert {provider.gateway.name for provider in PROVIDERS} == set(GATEWAYS)


@every_provider
def test_what_the_gateway_signed_is_verified(provider: Provider) -> None:
    headers = provider.sign(BODY, SECRET)

    verdict = provider.gateway.verify(headers, BODY, SECRETS, NOW)

    assert verdict == Verified(SECRETS[0].id)


@every_provider
def test_the_official_sdk_accepts_what_we_sign_and_refuses_another_secret(provider: Provider) -> None:
    headers = provider.sign(BODY, SECRET)

    accepted = provider.sdk_accepts(BODY, headers, SECRET)
    accepted_for_another = provider.sdk_accepts(BODY, headers, OTHER_SECRET)

    assert (accepted, accepted_for_another) == (True, False)


def test_what_stripes_own_sdk_signed_is_verified() -> None:
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, NOW)

    verdict = GATEWAYS["stripe"].verify({b"stripe-signature": header.encode()}, BODY, SECRETS, NOW)

    assert verdict == Verified(SECRETS[0].id)


@needs_fixtures
def test_razorpays_published_vectors_are_verified() -> None:
    folder = FIXTURES / "razorpay" / "signature_vectors"
    vectors = [v for v in json.loads((folder / "vectors.json").read_bytes()) if v["kind"] == "webhook"]

    verdicts = []
    for vector in vectors:
        body = (folder / vector["body_file"]).read_bytes() if "body_file" in vector else vector["body"].encode()
        headers = {b"x-razorpay-signature": vector["signature"].encode()}
        secrets = (Secret(vector["secret"].encode()),)
        verdicts.append(GATEWAYS["razorpay"].verify(headers, body, secrets, NOW))

    assert len(verdicts) == 2
    assert all(isinstance(verdict, Verified) for verdict in verdicts)


@every_provider
@given(place=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
@settings(deadline=None)
def test_a_body_with_one_changed_byte_is_rejected(provider: Provider, place: int, flip: int) -> None:
    headers = provider.sign(BODY, SECRET)
    tampered = _with_flipped_byte(BODY, place, flip)

    verdict = provider.gateway.verify(headers, tampered, SECRETS, NOW)

    assert verdict == Rejected("signature_mismatch")


@every_provider
@given(data=st.data(), flip=st.integers(1, 255))
@settings(deadline=None)
def test_a_signature_header_with_one_changed_byte_is_rejected(
    provider: Provider, data: st.DataObject, flip: int
) -> None:
    headers = provider.sign(BODY, SECRET)
    signature = headers[provider.signature_header]
    place = data.draw(st.integers(0, len(signature) - 1))
    headers[provider.signature_header] = _with_flipped_byte(signature, place, flip)

    verdict = provider.gateway.verify(headers, BODY, SECRETS, NOW)

    assert isinstance(verdict, Rejected)


@every_provider
def test_another_secrets_signature_is_rejected(provider: Provider) -> None:
    headers = provider.sign(BODY, OTHER_SECRET)

    verdict = provider.gateway.verify(headers, BODY, SECRETS, NOW)

    assert verdict == Rejected("signature_mismatch")


@every_provider
def test_f8_reserialised_json_is_rejected(provider: Provider) -> None:
    headers = provider.sign(BODY, SECRET)
    reserialised = json.dumps(json.loads(BODY)).encode()

    verdict = provider.gateway.verify(headers, reserialised, SECRETS, NOW)

    assert verdict == Rejected("signature_mismatch")


@every_provider
def test_f11_without_a_secret_nothing_is_verified(provider: Provider) -> None:
    signed_with_an_empty_key = provider.sign(BODY, "")

    verdict = provider.gateway.verify(signed_with_an_empty_key, BODY, (), NOW)

    assert verdict == Rejected("no_secret")


def test_f11_an_empty_secret_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Secret(b"")


@every_provider
@pytest.mark.parametrize("used", [SECRET, OTHER_SECRET])
def test_f21_while_secrets_overlap_each_verifies_and_is_recorded(provider: Provider, used: str) -> None:
    both = (Secret(SECRET.encode()), Secret(OTHER_SECRET.encode()))
    headers = provider.sign(BODY, used)

    verdict = provider.gateway.verify(headers, BODY, both, NOW)

    assert verdict == Verified(Secret(used.encode()).id)


@every_provider
def test_f21_a_retired_secret_verifies_nothing(provider: Provider) -> None:
    headers = provider.sign(BODY, SECRET)

    verdict = provider.gateway.verify(headers, BODY, (Secret(OTHER_SECRET.encode()),), NOW)

    assert verdict == Rejected("signature_mismatch")


@every_provider
@pytest.mark.parametrize("headers", [{}, {b"stripe-signature": b"", b"x-razorpay-signature": b""}])
def test_f7_a_missing_signature_is_rejected(provider: Provider, headers: dict[bytes, bytes]) -> None:
    verdict = provider.gateway.verify(headers, BODY, SECRETS, NOW)

    assert verdict == Rejected("missing_signature")


HOSTILE_HEADER = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"t=", b"t=1760000000", b"v1=", b"v0=", b",", b"=", b"\xff", b"a" * 64, b"\0", b" "])
    ).map(b"".join),
)


@every_provider
@given(header=HOSTILE_HEADER, body=st.binary(max_size=200), now=st.floats(0, 2**40))
@settings(deadline=None, max_examples=300)
def test_f7_hostile_bytes_are_rejected_and_never_raise(
    provider: Provider, header: bytes, body: bytes, now: float
) -> None:
    headers = {provider.signature_header: header}

    verdict = provider.gateway.verify(headers, body, SECRETS, now)

    assert isinstance(verdict, Rejected)


@every_provider
@pytest.mark.parametrize("body", [b"[]", b"null", b'{"id": "evt_1"', b"\xff\xfe{}", b"", b"[" * 100_000])
def test_f7_signed_bytes_that_are_no_event_are_verified_and_then_refused_as_such(
    provider: Provider, body: bytes
) -> None:
    headers = provider.sign(body, SECRET)

    verdict = provider.gateway.verify(headers, body, SECRETS, NOW)

    assert isinstance(verdict, Verified)
    with pytest.raises(NotAnEvent):
        parse(body)


def test_f12_razorpays_event_id_is_outside_the_signature() -> None:
    gateway = GATEWAYS["razorpay"]
    replayed = as_received(razorpay_headers(BODY, SECRET, "evt_another_id"))

    verdict = gateway.verify(replayed, BODY, SECRETS, NOW)

    assert isinstance(verdict, Verified)
    assert not gateway.signs_event_id


def _with_flipped_byte(value: bytes, place: int, flip: int) -> bytes:
    return value[:place] + bytes([value[place] ^ flip]) + value[place + 1 :]
