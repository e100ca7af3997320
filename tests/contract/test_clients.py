"""One suite for every gateway's client, against its stand-in, over real HTTP and through the official SDKs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateways.calling import CREDENTIALS_REASON
from gateways.client import (
    Absent,
    Captured,
    Client,
    Closed,
    Created,
    Doubt,
    GatewayPayment,
    Gone,
    Paid,
    Patience,
    Refusal,
    Refused,
    SessionState,
    Unknown,
)
from gateways.clients import BUILDERS, build_clients
from gateways.razorpay.settings import RazorpaySettings
from gateways.registry import GATEWAYS
from gateways.stripe.settings import StripeSettings
from payments.events import (
    CheckoutEnded,
    Observed,
    PaymentAuthorised,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import FailureCode
from payments.money import Money
from tests.contract.accounts import ACCOUNTS, INSTANCE, RAZORPAY, STRIPE, Account, create, events, freeze, order
from tests.sandboxes import DECLINED, NO_FUNDS, Sandbox, running_sandbox

# The SDK hands httpx a text where httpx would rather have it named.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture(params=ACCOUNTS, ids=str)
def account(request: pytest.FixtureRequest) -> Account:
    chosen = request.param
    assert isinstance(chosen, Account)
    return chosen


@pytest.fixture
async def client(account: Account, sandbox: Sandbox) -> AsyncIterator[Client]:
    built = account.build_for(sandbox)
    yield built
    await built.aclose()


async def state_of(client: Client, session_id: str) -> SessionState:
    state = await client.fetch_session(session_id)
    assert isinstance(state, SessionState), state
    return state


async def listed(client: Client, sandbox: Sandbox) -> list[GatewayPayment | Refused | Unknown]:
    now = datetime.fromtimestamp(sandbox.now(), UTC)
    return [each async for each in client.list_payments(now - timedelta(hours=1), now + timedelta(seconds=1))]


# The table.


def test_every_gateway_can_be_called() -> None:
    assert set(BUILDERS) == set(GATEWAYS) == {account.name for account in ACCOUNTS}


async def test_a_gateway_without_a_key_has_no_client() -> None:
    with_key = StripeSettings.model_validate(STRIPE.keys)

    built = build_clients({"stripe": with_key, "razorpay": RazorpaySettings()})

    assert list(built) == ["stripe"]
    assert built["stripe"].name == "stripe"
    await built["stripe"].aclose()


# A hosted page is made once.


async def test_a_session_is_a_page_that_a_customer_can_open(client: Client, account: Account, sandbox: Sandbox) -> None:
    asked = order(account, sandbox)

    session = await create(client, freeze(client, asked))

    state = await state_of(client, session.id)
    assert session.url is not None
    assert httpx.get(session.url, trust_env=False).status_code == 200
    assert session.expires_at == asked.expires_at.replace(microsecond=0)
    assert state == SessionState(session, is_open=True, observed=())


async def test_a_request_that_lay_in_a_json_column_makes_the_same_session_again(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, order(account, sandbox))

    first = await create(client, frozen)
    second = await create(client, json.loads(json.dumps(frozen)))

    assert second == first
    assert len(account.sessions(sandbox)) == 1


async def test_f58_eight_clicks_at_once_make_one_session(client: Client, account: Account, sandbox: Sandbox) -> None:
    frozen = freeze(client, order(account, sandbox))

    sessions = await asyncio.gather(*(create(client, frozen) for _ in range(8)))

    assert len(set(sessions)) == 1
    assert len(account.sessions(sandbox)) == 1


async def test_the_next_session_of_an_order_is_another_page(client: Client, account: Account, sandbox: Sandbox) -> None:
    asked = order(account, sandbox)
    first = await create(client, freeze(client, asked), "key-1")

    second = await create(client, freeze(client, replace(asked, attempt=2)), "key-2")

    sandbox.pay(second.id)
    (paid,) = events((await state_of(client, second.id)).observed)
    assert first.id != second.id
    assert isinstance(paid, PaymentSucceeded)
    assert (await state_of(client, second.id)).observed[0].references.order_ids[-1] == asked.order_id


async def test_f53_a_key_with_another_request_is_an_alarm(client: Client, account: Account, sandbox: Sandbox) -> None:
    asked = order(account, sandbox)
    await create(client, freeze(client, asked))

    answer = await client.create_session(
        freeze(client, replace(asked, expected=Money(asked.expected.minor + 100, asked.expected.currency))), "key-1"
    )

    assert isinstance(answer, Refused)
    assert answer.code is Refusal.KEY_REUSED
    assert len(account.sessions(sandbox)) == 1


async def test_a_request_whose_expiry_has_come_too_near_makes_nothing(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    soon = datetime.fromtimestamp(sandbox.now(), UTC) + timedelta(minutes=5)

    answer = await client.create_session(freeze(client, order(account, sandbox, expires_at=soon)), "key-1")

    assert isinstance(answer, Refused)
    assert answer.code is Refusal.OUTDATED
    assert account.sessions(sandbox) == []


async def test_f54_a_request_that_is_sent_again_days_later_makes_no_second_session(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, order(account, sandbox))
    first = await create(client, frozen)
    sandbox.control("clock", {"advance": 2 * DAY})

    answer = await client.create_session(frozen, "key-1")
    found = await client.find_session(frozen)

    assert isinstance(answer, Created | Refused)
    assert isinstance(found, SessionState)
    assert found.session.id == first.id
    assert not found.is_open
    assert len(account.sessions(sandbox)) == 1


# What becomes of it is told in the same words as by its webhooks.


async def test_a_paid_session_tells_the_exact_amount_and_whose_it_is(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    asked = order(account, sandbox)
    session = await create(client, freeze(client, asked))

    payment_id = sandbox.pay(session.id)["payment"]

    state = await state_of(client, session.id)
    (observed,) = state.observed
    assert observed.event == account.succeeded(payment_id)
    assert observed.event in events(tuple(account.told(sandbox)))
    assert set(observed.references.order_ids) == {asked.order_id}
    assert observed.references.instance == INSTANCE
    assert {session.id, payment_id} <= set(observed.references.objects)
    assert not state.is_open
    assert state.session.url is None


@pytest.mark.parametrize(
    ("account", "amount"),
    [(account, amount) for account in ACCOUNTS for amount in account.taken],
    ids=str,
    indirect=["account"],
)
async def test_f63_every_kind_of_currency_comes_back_as_it_was_asked(
    client: Client, account: Account, sandbox: Sandbox, amount: Money
) -> None:
    session = await create(client, freeze(client, order(account, sandbox, expected=amount)))

    payment_id = sandbox.pay(session.id)["payment"]

    assert events((await state_of(client, session.id)).observed) == [account.succeeded(payment_id, amount)]


async def test_a_declined_attempt_is_told_while_the_session_stays_open(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, order(account, sandbox)))

    sandbox.pay(session.id, NO_FUNDS)

    state = await state_of(client, session.id)
    (failed,) = events(state.observed)
    assert state.is_open
    assert isinstance(failed, PaymentFailed)
    assert (failed.failure.code, failed.final) == (FailureCode.INSUFFICIENT_FUNDS, False)
    assert failed in events(tuple(account.told(sandbox)))


async def test_a_session_that_ends_tells_its_end_and_what_failed_before(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    untouched = await create(client, freeze(client, order(account, sandbox)), "key-1")
    declined = await create(client, freeze(client, order(account, sandbox)), "key-2")
    sandbox.pay(declined.id, DECLINED)

    sandbox.control("clock", {"advance": 32 * MINUTE})

    ended = await state_of(client, untouched.id)
    failed, end = events((await state_of(client, declined.id)).observed)
    assert (ended.is_open, ended.session.url, events(ended.observed)) == (False, None, [CheckoutEnded(untouched.id)])
    assert isinstance(failed, PaymentFailed)
    assert end == CheckoutEnded(declined.id)


# Closing.


async def test_a_closed_session_cannot_be_paid_and_closing_it_again_is_the_same(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, order(account, sandbox)))

    answers = [await client.close_session(session.id), await client.close_session(session.id)]

    order_to_pay = {"session": session.id, "card": "4242424242424242"}
    paying = httpx.post(f"{sandbox.url}/_control/pay", json=order_to_pay, trust_env=False)
    assert [events(answer.observed) for answer in answers if isinstance(answer, Closed)] == [
        [CheckoutEnded(session.id)],
        [CheckoutEnded(session.id)],
    ]
    assert paying.status_code == 409


async def test_closing_what_was_paid_says_so(client: Client, account: Account, sandbox: Sandbox) -> None:
    session = await create(client, freeze(client, order(account, sandbox)))
    payment_id = sandbox.pay(session.id)["payment"]

    answer = await client.close_session(session.id)

    assert isinstance(answer, Paid)
    assert events(answer.observed) == [account.succeeded(payment_id)]


async def test_a_session_whose_closing_lost_its_answer_is_known_closed(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, order(account, sandbox)))
    sandbox.control("faults", {"cutAfterCommit": 1, "seed": 1})

    answer = await client.close_session(session.id)

    assert isinstance(answer, Closed)


# Answers that were lost.


async def test_f55_f57_a_connection_cut_after_the_gateway_acted_leaves_one_session_and_it_is_found(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, order(account, sandbox))
    sandbox.control("faults", {"cutAfterCommit": 1, "seed": 1})

    answer = await client.create_session(frozen, "key-1")

    (made,) = account.sessions(sandbox)
    found = await client.find_session(frozen)
    assert isinstance(answer, Created)
    assert isinstance(found, SessionState)
    assert answer.session.id == found.session.id == made["id"]


async def test_f115_a_session_whose_maker_died_is_found_by_our_reference(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    asked = order(account, sandbox)
    frozen, other = freeze(client, asked), freeze(client, order(account, sandbox))
    before = await client.find_session(frozen)
    session = await create(client, frozen)
    sandbox.pay(session.id)

    found = await client.find_session(frozen, since=asked.expires_at - timedelta(minutes=31))

    assert before == Absent()
    assert isinstance(found, SessionState)
    assert found.session.id == session.id
    assert isinstance(found.observed[0].event, PaymentSucceeded)
    assert await client.find_session(other) == Absent()


async def test_f114_an_answer_that_does_not_come_is_unknown_and_the_next_call_finds_it(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, order(account, sandbox))
    sandbox.control("faults", {"timeout": 2})

    answer = await client.create_session(frozen, "key-1", Patience(0.5))
    sandbox.control("faults", {})
    session = await create(client, frozen)

    assert answer == Unknown(Doubt.TIMED_OUT)
    assert [each["id"] for each in account.sessions(sandbox)] == [session.id]


@pytest.mark.parametrize(
    ("kind", "seconds", "doubts"),
    [
        # It asks for a second's wait each time, so that with one second there is one attempt.
        ("429", 1.0, {Doubt.RATE_LIMITED}),
        ("500", 10.0, {Doubt.SERVER_ERROR, Doubt.KEY_SPENT}),
        ("502", 10.0, {Doubt.SERVER_ERROR}),
    ],
)
async def test_a_gateway_that_breaks_is_unknown_and_nothing_was_made(
    client: Client, account: Account, sandbox: Sandbox, kind: str, seconds: float, doubts: set[Doubt]
) -> None:
    frozen = freeze(client, order(account, sandbox))
    sandbox.control("faults", {"apiErrors": {kind: 1}, "seed": 1})

    answer = await client.create_session(frozen, "key-1", Patience(seconds))
    sandbox.control("faults", {})

    assert isinstance(answer, Unknown)
    assert answer.reason in doubts
    assert await client.find_session(frozen) == Absent()


async def test_f120_a_gateway_that_asks_to_wait_is_asked_again_after_that(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, order(account, sandbox))
    sandbox.control("faults", {"apiErrors": {"429": 1}, "seed": 1})
    creating = asyncio.create_task(client.create_session(frozen, "key-1"))
    await asyncio.sleep(0.3)

    sandbox.control("faults", {})

    assert isinstance(await creating, Created)


async def test_f53_a_key_with_a_stored_error_stays_unknown_until_it_is_looked_up(sandbox: Sandbox) -> None:
    client = STRIPE.build_for(sandbox)
    frozen = freeze(client, order(STRIPE, sandbox))
    sandbox.control("faults", {"apiErrors": {"500": 1}, "seed": 1})
    await client.create_session(frozen, "key-1")
    sandbox.control("faults", {})

    again = await client.create_session(frozen, "key-1")
    found = await client.find_session(frozen)
    session = await create(client, frozen, "key-2")

    assert (again, found) == (Unknown(Doubt.KEY_SPENT), Absent())
    assert session.id
    await client.aclose()


# Gone, and not allowed.


GONE = {"stripe": ("cs_test_unknown", "pi_unknown"), "razorpay": ("plink_unknown1234", "pay_unknown1234")}


async def test_f113_what_the_gateway_does_not_know_is_gone(client: Client, account: Account) -> None:
    session_id, payment_id = GONE[account.name]

    answers: list[object] = [
        await client.fetch_session(session_id),
        await client.close_session(session_id),
        await client.fetch_payment(payment_id),
        await client.capture_payment(payment_id, account.price),
    ]

    assert answers == [Gone()] * 4


async def test_a_wrong_key_is_refused_by_every_call(account: Account, sandbox: Sandbox) -> None:
    client = account.build_for(sandbox, keys=account.wrong_keys)
    frozen = freeze(client, order(account, sandbox))
    session_id, payment_id = GONE[account.name]

    answers: list[object] = [
        await client.create_session(frozen, "key-1"),
        await client.find_session(frozen),
        await client.fetch_session(session_id),
        await client.close_session(session_id),
        await client.fetch_payment(payment_id),
        await client.capture_payment(payment_id, account.price),
        *await listed(client, sandbox),
    ]

    assert answers == [Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)] * 7
    await client.aclose()


# Payments.


async def test_a_payment_can_be_looked_at_alone(client: Client, account: Account, sandbox: Sandbox) -> None:
    paid = await create(client, freeze(client, order(account, sandbox)), "key-1")
    declined = await create(client, freeze(client, order(account, sandbox)), "key-2")
    paid_id, declined_id = sandbox.pay(paid.id)["payment"], sandbox.pay(declined.id, DECLINED)["payment"]

    success, failure = await client.fetch_payment(paid_id), await client.fetch_payment(declined_id)

    assert isinstance(success, GatewayPayment)
    assert isinstance(success.observed, Observed)
    assert success.observed.event == account.succeeded(paid_id)
    assert abs(success.created_at.timestamp() - sandbox.now()) < MINUTE
    assert isinstance(failure, GatewayPayment)
    assert isinstance(failure.observed, Observed)
    assert isinstance(failure.observed.event, PaymentFailed)


async def test_what_is_captured_is_captured_also_when_asked_again(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, order(account, sandbox)))
    payment_id = sandbox.pay(session.id)["payment"]

    answers = [await client.capture_payment(payment_id, account.price) for _ in range(2)]

    assert [answer.observed.event for answer in answers if isinstance(answer, Captured)] == [
        account.succeeded(payment_id)
    ] * 2


async def test_payments_of_a_time_are_listed_each_once(client: Client, account: Account, sandbox: Sandbox) -> None:
    paid_ids = []
    for number in range(3):
        session = await create(client, freeze(client, order(account, sandbox)), f"key-{number}")
        paid_ids.append(sandbox.pay(session.id)["payment"])

    found = await listed(client, sandbox)
    sandbox.control("clock", {"advance": 2 * HOUR})
    later = await listed(client, sandbox)

    assert sorted(each.id for each in found if isinstance(each, GatewayPayment)) == sorted(paid_ids)
    assert len(found) == 3
    assert later == []


# What only one of them does.


async def test_stripe_a_delayed_method_is_pending_and_cannot_be_closed_until_it_succeeds(sandbox: Sandbox) -> None:
    client = STRIPE.build_for(sandbox)
    session = await create(client, freeze(client, order(STRIPE, sandbox)))
    payment_id = sandbox.pay(session.id, method="delayed", settleAfter=DAY)["payment"]

    pending, closing = await state_of(client, session.id), await client.close_session(session.id)
    sandbox.control("clock", {"advance": DAY + MINUTE})
    settled = await state_of(client, session.id)

    assert events(pending.observed) == [PaymentPending(payment_id, STRIPE.price)]
    assert not pending.is_open
    assert isinstance(closing, Paid)
    assert events(settled.observed) == [PaymentSucceeded(payment_id, STRIPE.price)]
    await client.aclose()


async def test_stripe_a_delayed_method_that_fails_is_the_end_of_its_session(sandbox: Sandbox) -> None:
    client = STRIPE.build_for(sandbox)
    session = await create(client, freeze(client, order(STRIPE, sandbox)))
    sandbox.pay(session.id, NO_FUNDS, method="delayed", settleAfter=DAY)
    sandbox.control("clock", {"advance": DAY + MINUTE})

    state, closing = await state_of(client, session.id), await client.close_session(session.id)

    (failed,) = events(state.observed)
    assert isinstance(failed, PaymentFailed)
    assert (failed.failure.code, failed.final) == (FailureCode.INSUFFICIENT_FUNDS, True)
    assert isinstance(closing, Closed)
    await client.aclose()


async def test_stripe_a_page_with_nothing_to_pay_is_paid_with_nothing(sandbox: Sandbox) -> None:
    client = STRIPE.build_for(sandbox)
    session = await create(client, freeze(client, order(STRIPE, sandbox, expected=Money(0, "usd"))))

    sandbox.pay(session.id)

    assert events((await state_of(client, session.id)).observed) == [PaymentSucceeded(None, Money(0, "usd"))]
    await client.aclose()


async def test_stripe_events_are_listed_as_its_webhooks_would_have_brought_them(sandbox: Sandbox) -> None:
    client = STRIPE.build_for(sandbox)
    session = await create(client, freeze(client, order(STRIPE, sandbox)))
    sandbox.pay(session.id)
    now = datetime.fromtimestamp(sandbox.now(), UTC)

    found = [each async for each in client.list_events(now - timedelta(hours=1), now + timedelta(seconds=1))]

    bodies: list[dict[str, Any]] = [dict(each) for each in found if not isinstance(each, Refused | Unknown)]
    assert {body["id"] for body in bodies} == {event["id"] for event in sandbox.objects("stripe", "event")}
    assert "checkout.session.completed" in {body["type"] for body in bodies}
    await client.aclose()


async def test_stripe_says_where_its_webhooks_go_and_whether_they_do(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "telling", webhooks="https://pay.example/webhooks") as sandbox:
        client = STRIPE.build_for(sandbox)
        async with sandbox.stripe() as sdk:
            made = await sdk.v1.webhook_endpoints.create_async(
                {"url": "https://other.example/hooks", "enabled_events": ["payment_intent.succeeded"]}
            )
            await sdk.v1.webhook_endpoints.update_async(made.id, {"disabled": True})

        endpoints = await client.list_endpoints()

        await client.aclose()
    assert isinstance(endpoints, tuple)
    assert {(each.url, each.is_enabled, each.event_types) for each in endpoints} == {
        ("https://pay.example/webhooks/stripe", True, frozenset({"*"})),
        ("https://other.example/hooks", False, frozenset({"payment_intent.succeeded"})),
    }


async def test_endpoints_that_cannot_be_listed_are_unknown_and_not_none(account: Account) -> None:
    client = account.build("http://127.0.0.1:1")

    endpoints = await client.list_endpoints(Patience(0.3))

    assert endpoints is None if account is RAZORPAY else isinstance(endpoints, Unknown)
    await client.aclose()


async def test_a_gateway_that_pays_late_says_for_how_long(client: Client, account: Account) -> None:
    """Only where a payment can come after its page is an order that was given up asked about (F31)."""
    assert (client.late_for > timedelta(0)) == (account is RAZORPAY)
    assert client.lists_events == (account is STRIPE)


async def test_razorpay_an_authorised_payment_is_captured_with_its_exact_amount(sandbox: Sandbox) -> None:
    client = RAZORPAY.build_for(sandbox)
    sandbox.control("settings", {"razorpayAutoCapture": False})
    session = await create(client, freeze(client, order(RAZORPAY, sandbox)))
    payment_id = sandbox.pay(session.id)["payment"]
    promised = await state_of(client, session.id)

    too_little = await client.capture_payment(payment_id, Money(100, "inr"))
    captured = await client.capture_payment(payment_id, RAZORPAY.price)
    again = await client.capture_payment(payment_id, RAZORPAY.price)

    assert events(promised.observed) == [PaymentAuthorised(payment_id, RAZORPAY.price)]
    assert isinstance(too_little, Refused)
    assert isinstance(captured, Captured)
    assert again == captured
    assert captured.observed.event == RAZORPAY.succeeded(payment_id)
    await client.aclose()


async def test_razorpay_a_capture_whose_answer_was_lost_is_known(sandbox: Sandbox) -> None:
    client = RAZORPAY.build_for(sandbox)
    sandbox.control("settings", {"razorpayAutoCapture": False})
    session = await create(client, freeze(client, order(RAZORPAY, sandbox)))
    payment_id = sandbox.pay(session.id)["payment"]
    sandbox.control("faults", {"cutAfterCommit": 1, "seed": 1})

    captured = await client.capture_payment(payment_id, RAZORPAY.price)

    assert isinstance(captured, Captured)
    await client.aclose()


async def test_razorpay_a_link_with_a_promise_is_not_known_closed(sandbox: Sandbox) -> None:
    client = RAZORPAY.build_for(sandbox)
    sandbox.control("settings", {"razorpayAutoCapture": False})
    session = await create(client, freeze(client, order(RAZORPAY, sandbox)))
    sandbox.pay(session.id)

    answer = await client.close_session(session.id)

    assert isinstance(answer, Paid)
    await client.aclose()


async def test_razorpay_a_promise_that_lapsed_tells_of_no_money(sandbox: Sandbox) -> None:
    client = RAZORPAY.build_for(sandbox)
    sandbox.control("settings", {"razorpayAutoCapture": False})
    session = await create(client, freeze(client, order(RAZORPAY, sandbox)))
    payment_id = sandbox.pay(session.id)["payment"]
    sandbox.control("clock", {"advance": 4 * DAY})

    state, payment = await state_of(client, session.id), await client.fetch_payment(payment_id)

    assert events(state.observed) == [CheckoutEnded(session.id)]
    assert isinstance(payment, GatewayPayment)
    assert payment.observed is None
    await client.aclose()


async def test_razorpay_a_failed_payment_may_still_succeed_after_the_link_has_ended(sandbox: Sandbox) -> None:
    client = RAZORPAY.build_for(sandbox)
    session = await create(client, freeze(client, order(RAZORPAY, sandbox)))
    payment_id = sandbox.pay(session.id, late=HOUR)["payment"]
    failed = await state_of(client, session.id)
    sandbox.control("clock", {"advance": HOUR + MINUTE})

    late = await state_of(client, session.id)

    assert [type(each) for each in events(failed.observed)] == [PaymentFailed]
    assert events(late.observed) == [RAZORPAY.succeeded(payment_id), CheckoutEnded(session.id)]
    await client.aclose()
