"""What every gateway's client does with money that goes back, against its stand-in, through the official SDKs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from gateways.client import (
    Absent,
    Client,
    DisputeState,
    Doubt,
    Gone,
    MoneyState,
    Patience,
    PayoutPart,
    PayoutState,
    RefundRequest,
    RefundState,
    Refusal,
    Refused,
    Unknown,
)
from payments.dispute import DisputeStatus
from payments.events import (
    DisputeTold,
    FraudWarned,
    Observed,
    PaymentCancelled,
    PaymentNamed,
    PayoutTold,
    RefundsTotalled,
    RefundTold,
)
from payments.money import Money
from payments.refund import RefundReason, RefundStatus
from tests.contract.accounts import ACCOUNTS, INSTANCE, RAZORPAY, STRIPE, Account, create, events, freeze, order
from tests.sandboxes import Sandbox, running_sandbox

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

DAY = 24 * 3600
GONE_ID = {"stripe": "pi_nobodys", "razorpay": "pay_nobodysAtAll00"}


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


@pytest.fixture
async def stripe(sandbox: Sandbox) -> AsyncIterator[Client]:
    built = STRIPE.build_for(sandbox)
    yield built
    await built.aclose()


@pytest.fixture
async def razorpay(sandbox: Sandbox) -> AsyncIterator[Client]:
    built = RAZORPAY.build_for(sandbox)
    yield built
    await built.aclose()


async def paid(client: Client, account: Account, sandbox: Sandbox) -> RefundRequest:
    """A payment that was taken, and a request to give a part of it back."""
    asked = order(account, sandbox)
    session = await create(client, freeze(client, asked), f"key-of-{asked.order_id}")
    payment_id = sandbox.pay(session.id)["payment"]
    return RefundRequest(
        refund_id=str(uuid4()),
        order_id=asked.order_id,
        gateway_payment_id=payment_id,
        amount=Money(1000, account.price.currency),
        reason=RefundReason.REQUESTED_BY_CUSTOMER,
        instance_id=INSTANCE,
    )


def key(request: RefundRequest) -> str:
    return f"refund:{request.refund_id}"


async def refunded(client: Client, request: RefundRequest) -> RefundState:
    made = await client.create_refund(request, key(request))
    assert isinstance(made, RefundState), made
    return made


def refund_told(state: RefundState) -> RefundTold:
    assert isinstance(state.observed.event, RefundTold)
    return state.observed.event


async def money_back(client: Client, request: RefundRequest) -> MoneyState:
    state = await client.fetch_money_back(request.gateway_payment_id)
    assert isinstance(state, MoneyState), state
    return state


def made(account: Account, sandbox: Sandbox) -> list[str]:
    return [str(each["id"]) for each in sandbox.objects(account.name, "refund")]


# A refund is made once.


async def test_a_refund_is_made_with_our_names_and_told_as_its_webhooks_tell_it(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)

    state = await refunded(client, request)

    told = refund_told(state)
    assert (told.gateway_refund_id, told.status) == (state.id, RefundStatus.SUCCEEDED)
    assert (told.refund_id, told.amount, told.reason) == (request.refund_id, request.amount, request.reason)
    assert told.payment.gateway_payment_id == request.gateway_payment_id
    assert state.observed.references.order_ids == (request.order_id,)
    assert state.observed.references.instance == INSTANCE
    webhooks = [each.event for each in account.told(sandbox) if isinstance(each.event, RefundTold)]
    assert {(each.gateway_refund_id, each.status, each.amount, each.refund_id) for each in webhooks} == {
        (told.gateway_refund_id, told.status, told.amount, told.refund_id)
    }


@pytest.mark.parametrize("reason", RefundReason)
async def test_a_refund_may_be_for_any_of_our_reasons(
    client: Client, account: Account, sandbox: Sandbox, reason: RefundReason
) -> None:
    request = replace(await paid(client, account, sandbox), reason=reason)

    state = await refunded(client, request)

    assert refund_told(state).reason is reason


async def test_a_refund_of_a_payment_that_no_order_has_names_none(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = replace(await paid(client, account, sandbox), order_id=None)

    state = await refunded(client, request)

    assert state.observed.references.order_ids == ()
    assert state.observed.references.instance == INSTANCE


async def test_f55_the_same_request_under_the_same_key_makes_one_refund(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)

    first, second = await refunded(client, request), await refunded(client, request)

    assert first == second
    assert made(account, sandbox) == [first.id]


async def test_f97_one_request_sent_eight_times_at_once_makes_one_refund(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)

    answers = await asyncio.gather(*(client.create_refund(request, key(request)) for _ in range(8)))

    assert {each.id for each in answers if isinstance(each, RefundState)} == set(made(account, sandbox))
    assert len(made(account, sandbox)) == 1


async def test_f56_two_refunds_sent_at_once_keep_their_own_amounts(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    whole = await paid(client, account, sandbox)
    requests = [
        replace(whole, refund_id=str(uuid4()), amount=Money(minor, account.price.currency))
        for minor in (300, 400, 500, 600)
    ]

    answers = await asyncio.gather(*(client.create_refund(each, key(each)) for each in requests))

    told = [refund_told(each) for each in answers if isinstance(each, RefundState)]
    assert [(each.refund_id, each.amount) for each in told] == [(each.refund_id, each.amount) for each in requests]


async def test_a_key_that_was_used_for_something_else_is_refused(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    await refunded(client, request)

    answer = await client.create_refund(replace(request, amount=Money(1100, account.price.currency)), key(request))

    assert isinstance(answer, Refused)
    assert answer.code is Refusal.KEY_REUSED
    assert len(made(account, sandbox)) == 1


# Answers that were lost.


async def test_f55_a_connection_cut_after_the_gateway_acted_leaves_one_refund_and_it_is_found(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    sandbox.control("faults", {"cutAfterCommit": 1, "seed": 1})

    answer = await client.create_refund(request, key(request), Patience(1.0))
    sandbox.control("faults", {})
    found = await client.find_refund(request)

    assert isinstance(answer, Unknown | RefundState)
    assert isinstance(found, RefundState)
    assert made(account, sandbox) == [found.id]
    assert await refunded(client, request) == found


async def test_a_refund_is_found_by_our_id_among_others_of_its_payment(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    before = await client.find_refund(request)
    sandbox.control("refund", {"payment": request.gateway_payment_id, "amount": 700})
    made_by_us = await refunded(client, request)
    await refunded(client, replace(request, refund_id=str(uuid4())))

    found = await client.find_refund(request)

    assert before == Absent()
    assert found == made_by_us
    assert await client.find_refund(replace(request, refund_id=str(uuid4()))) == Absent()


async def test_a_gateway_that_breaks_says_nothing_of_the_refund(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    sandbox.control("faults", {"apiErrors": {"500": 1}, "seed": 1})

    answer = await client.create_refund(request, key(request), Patience(10.0))
    found = await client.find_refund(request, Patience(0.5))
    sandbox.control("faults", {})

    assert isinstance(answer, Unknown)
    assert answer.reason in {Doubt.SERVER_ERROR, Doubt.KEY_SPENT}
    assert isinstance(found, Unknown)
    assert await client.find_refund(request) == Absent()


# Refused, and gone.


async def test_f98_more_than_was_taken_is_refused_with_the_gateways_reason(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)

    answer = await client.create_refund(
        replace(request, amount=Money(account.price.minor + 1, account.price.currency)), key(request)
    )

    assert isinstance(answer, Refused)
    assert answer.code is Refusal.INVALID
    assert "greater than" in answer.reason


async def test_f99_a_payment_that_went_back_whole_is_refused_with_the_gateways_reason(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    sandbox.control("refund", {"payment": request.gateway_payment_id})

    answer = await client.create_refund(request, key(request))

    assert isinstance(answer, Refused)
    assert "refunded" in answer.reason


async def test_f104_what_razorpay_takes_back_no_more_is_refused_with_its_reason(
    razorpay: Client, sandbox: Sandbox
) -> None:
    request = await paid(razorpay, RAZORPAY, sandbox)
    sandbox.control("clock", {"advance": 190 * DAY})

    answer = await razorpay.create_refund(request, key(request))

    assert isinstance(answer, Refused)
    assert "6 months" in answer.reason


async def test_f113_a_payment_that_the_gateway_does_not_know_is_gone(client: Client, account: Account) -> None:
    payment_id = GONE_ID[account.name]
    request = RefundRequest(
        refund_id=str(uuid4()),
        order_id=None,
        gateway_payment_id=payment_id,
        amount=account.price,
        reason=RefundReason.OTHER,
        instance_id=INSTANCE,
    )

    assert await client.create_refund(request, key(request)) == Gone()
    assert await client.find_refund(request) == Gone()
    assert await client.fetch_money_back(payment_id) == Gone()
    assert await client.fetch_dispute("disp_nobodysAtAll0") == Gone()


@pytest.mark.parametrize("payment_id", ["", "../orders", "pay_1/refund?x=1", "0"])
async def test_a_payment_of_no_such_name_is_gone_and_never_a_path(
    razorpay: Client, sandbox: Sandbox, payment_id: str
) -> None:
    request = RefundRequest(str(uuid4()), None, payment_id, RAZORPAY.price, RefundReason.OTHER, INSTANCE)

    assert await razorpay.create_refund(request, key(request)) == Gone()
    assert await razorpay.find_refund(request) == Gone()
    assert await razorpay.fetch_money_back(payment_id) == Gone()
    assert await razorpay.fetch_dispute(payment_id) == Gone()
    assert not sandbox.calls()


async def test_a_key_that_is_not_ours_is_said_to_be_so(account: Account, sandbox: Sandbox) -> None:
    ours = account.build_for(sandbox)
    request = await paid(ours, account, sandbox)
    client = account.build_for(sandbox, keys=account.wrong_keys)

    answer = await client.create_refund(request, key(request))

    assert isinstance(answer, Refused)
    assert answer.code is Refusal.CREDENTIALS
    await client.aclose()
    await ours.aclose()


# All that went back of a payment.


async def test_f92_f95_all_that_went_back_is_told_whoever_asked_for_it_and_at_last_in_sum(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    ours = await refunded(client, request)
    theirs = sandbox.control("refund", {"payment": request.gateway_payment_id, "amount": 500, "ending": "fails"})

    state = await money_back(client, request)

    currency = account.price.currency
    *refunds, total = events(state.observed)
    assert [each for each in refunds if not isinstance(each, RefundTold)] == []
    found = {each.gateway_refund_id: each for each in refunds if isinstance(each, RefundTold)}
    assert {name: (each.amount.minor, each.status) for name, each in found.items()} == {
        ours.id: (1000, RefundStatus.SUCCEEDED),
        theirs["refund"]: (500, RefundStatus.PENDING),
    }
    assert (found[ours.id].refund_id, found[theirs["refund"]].refund_id) == (request.refund_id, None)
    assert isinstance(total, RefundsTotalled)
    assert total.refunded_in_all == Money(1500, currency)
    # One that somebody made in the dashboard bears no marks, and is ours as its payment is.
    assert {each.references.order_ids for each in state.observed} == {(request.order_id,)}
    assert {each.references.instance for each in state.observed} == {INSTANCE}


async def test_f92_a_refund_that_failed_is_no_part_of_the_sum(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    ours = await refunded(client, request)
    sandbox.control("refund", {"refund": ours.id, "ending": "fails"})

    told, total = events((await money_back(client, request)).observed)

    assert isinstance(told, RefundTold)
    assert told.status is RefundStatus.FAILED
    assert isinstance(total, RefundsTotalled)
    assert total.refunded_in_all == Money(0, account.price.currency)


async def test_of_a_payment_of_which_nothing_went_back_the_sum_is_nothing(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)

    (total,) = events((await money_back(client, request)).observed)

    assert isinstance(total, RefundsTotalled)
    assert total.payment.gateway_payment_id == request.gateway_payment_id
    assert total.refunded_in_all == Money(0, account.price.currency)


async def test_many_refunds_of_one_payment_are_all_told(client: Client, account: Account, sandbox: Sandbox) -> None:
    request = await paid(client, account, sandbox)
    # Razorpay takes 100 of the smallest unit at least, and Stripe lists a hundred to a page.
    amount, number = (100, 105) if account is RAZORPAY else (40, 105)
    for _ in range(number):
        sandbox.control("refund", {"payment": request.gateway_payment_id, "amount": amount})

    *refunds, total = events((await money_back(client, request)).observed)

    assert len({each.gateway_refund_id for each in refunds if isinstance(each, RefundTold)}) == number
    assert isinstance(total, RefundsTotalled)
    assert total.refunded_in_all.minor == number * amount


async def test_f72_an_authorisation_that_lapsed_has_given_nothing_back(razorpay: Client, sandbox: Sandbox) -> None:
    session = await create(razorpay, freeze(razorpay, order(RAZORPAY, sandbox)))
    sandbox.control("settings", {"razorpayAutoCapture": False})
    payment_id = sandbox.pay(session.id)["payment"]
    sandbox.control("clock", {"advance": 6 * DAY})

    state = await razorpay.fetch_money_back(payment_id)

    assert isinstance(state, MoneyState)
    told = {type(each.event) for each in RAZORPAY.told(sandbox) if not isinstance(each.event, RefundTold)}
    assert events(state.observed) == [PaymentCancelled(payment_id, RAZORPAY.price)]
    assert PaymentCancelled in told


# Disputes.


async def test_f101_a_dispute_is_read_as_its_webhooks_tell_it(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    reached = []
    for stage in ("opened", "funds_withdrawn", "won"):
        dispute_id = sandbox.control("dispute", {"payment": request.gateway_payment_id, "stage": stage})["dispute"]

        state = await client.fetch_dispute(dispute_id)

        assert isinstance(state, DisputeState)
        assert state.id == dispute_id
        told = state.observed.event
        assert isinstance(told, DisputeTold)
        assert (told.amount, told.told_at) == (account.price, None)
        assert told.payment.gateway_payment_id == request.gateway_payment_id
        newest = [each.event for each in account.told(sandbox) if isinstance(each.event, DisputeTold)][-1]
        assert told == replace(newest, told_at=None)
        reached.append(told.status)
    assert (reached[0], reached[-1]) == (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WON)


@pytest.mark.parametrize("stage", ["funds_withdrawn", "lost"])
async def test_f99_a_refund_of_what_a_dispute_holds_is_refused_with_the_gateways_reason(
    client: Client, account: Account, sandbox: Sandbox, stage: str
) -> None:
    request = await paid(client, account, sandbox)
    sandbox.control("dispute", {"payment": request.gateway_payment_id, "stage": stage})

    answer = await client.create_refund(request, key(request))

    assert isinstance(answer, Refused)
    assert "dispute" in answer.reason.lower()


async def test_what_a_dispute_took_is_told_with_what_went_back(stripe: Client, sandbox: Sandbox) -> None:
    request = await paid(stripe, STRIPE, sandbox)
    await refunded(stripe, request)
    sandbox.control("dispute", {"payment": request.gateway_payment_id, "stage": "funds_withdrawn"})

    refund, dispute, total = events((await money_back(stripe, request)).observed)

    assert isinstance(refund, RefundTold)
    assert isinstance(dispute, DisputeTold)
    assert dispute.withdrawn == dispute.amount
    assert dispute.reinstated == Money(0, "usd")
    assert isinstance(total, RefundsTotalled)


async def test_f107_a_fraud_warning_names_the_payment_that_we_know(stripe: Client, sandbox: Sandbox) -> None:
    request = await paid(stripe, STRIPE, sandbox)
    sandbox.control("dispute", {"payment": request.gateway_payment_id, "stage": "fraud_warning"})

    (warned,) = [each.event for each in STRIPE.told(sandbox) if isinstance(each.event, FraudWarned)]

    assert warned.payment.gateway_payment_id == request.gateway_payment_id


# What is listed of all payments together.


async def test_refunds_and_disputes_are_listed_by_when_they_were_made_as_their_events_tell_them(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    first, second = await paid(client, account, sandbox), await paid(client, account, sandbox)
    refund = await refunded(client, first)
    dispute_id = sandbox.control("dispute", {"payment": second.gateway_payment_id, "stage": "opened"})["dispute"]
    now = datetime.now(UTC)
    window, before = (now - timedelta(hours=1), now + timedelta(hours=1)), (now - timedelta(days=2), now - timedelta(1))

    refunds, disputes = client.list_refunds(*window), client.list_disputes(*window)
    listed = [each async for each in refunds], [each async for each in disputes]
    earlier = (
        [each async for each in client.list_refunds(*before)],
        [each async for each in client.list_disputes(*before)],
    )

    fetched = await client.fetch_dispute(dispute_id)
    [told], [dispute] = listed
    assert isinstance(told, RefundState)
    assert (told.id, told.observed.event) == (refund.id, refund.observed.event)
    assert dispute == fetched
    assert earlier == ([], [])


async def test_payouts_are_listed_as_their_events_tell_them(client: Client, account: Account, sandbox: Sandbox) -> None:
    await paid(client, account, sandbox)
    [made] = sandbox.control("payout", {"gateway": account.name, "after": 0})["data"]
    sandbox.control("clock", {"advance": 1})
    now = datetime.now(UTC)

    listed = [each async for each in client.list_payouts(now - timedelta(hours=1), now + timedelta(hours=1))]

    told = [each.event for each in account.told(sandbox) if isinstance(each.event, PayoutTold)]
    assert [each.id for each in listed if isinstance(each, PayoutState)] == [made["payout"]]
    assert [each.observed.event for each in listed if isinstance(each, PayoutState)] == told[-1:]


async def test_a_list_that_cannot_be_had_ends_with_the_doubt(account: Account) -> None:
    client, now = account.build("http://127.0.0.1:1"), datetime.now(UTC)
    window = now - timedelta(hours=1), now, Patience(0.3)

    listed = (
        [each async for each in client.list_refunds(*window)],
        [each async for each in client.list_disputes(*window)],
    )

    assert [len(each) for each in listed] == [1, 1]
    assert all(isinstance(each[-1], Unknown) for each in listed)
    await client.aclose()


# Payouts.


async def parts(client: Client, payout_id: str) -> list[PayoutPart | Refused | Unknown]:
    return [each async for each in client.list_payout_parts(payout_id)]


async def test_the_parts_of_a_payout_are_its_payments_and_refunds_and_their_sum_is_the_payout(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    first, second = await paid(client, account, sandbox), await paid(client, account, sandbox)
    refund = await refunded(client, first)
    (payout,) = sandbox.control("payout", {"gateway": account.name})["data"]
    sandbox.control("payout", {"payout": payout["payout"], "ending": "paid"})

    listed = await parts(client, payout["payout"])

    found = [each for each in listed if isinstance(each, PayoutPart)]
    assert len(found) == len(listed)
    assert {each.names[0]: each.minor for each in found} == {
        first.gateway_payment_id: account.price.minor,
        second.gateway_payment_id: account.price.minor,
        refund.id: -1000,
    }
    assert sum(each.minor - each.fee_minor for each in found) == payout["amount"]
    (told,) = [each.event for each in account.told(sandbox) if isinstance(each.event, PayoutTold)]
    assert (told.gateway_payout_id, told.minor, told.is_paid) == (payout["payout"], payout["amount"], True)


async def test_a_payout_that_the_gateway_does_not_know_has_no_parts_and_says_so(
    client: Client, account: Account
) -> None:
    listed = await parts(client, {"stripe": "po_nobodys", "razorpay": "setl_nobodysAtAll0"}[account.name])

    assert account is STRIPE or [type(each) for each in listed] == [Refused]
    assert not [each for each in listed if isinstance(each, PayoutPart)]


async def test_only_the_settlement_that_was_asked_for_is_told(razorpay: Client, sandbox: Sandbox) -> None:
    first = await paid(razorpay, RAZORPAY, sandbox)
    (settled,) = sandbox.control("payout", {"gateway": "razorpay"})["data"]
    await paid(razorpay, RAZORPAY, sandbox)
    sandbox.control("payout", {"gateway": "razorpay"})

    listed = await parts(razorpay, settled["payout"])

    assert [each.names for each in listed if isinstance(each, PayoutPart)] == [(first.gateway_payment_id,)]


async def test_everything_told_of_a_payment_names_it_in_the_same_words(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    request = await paid(client, account, sandbox)
    await refunded(client, request)

    told: list[Observed] = [
        each for each in account.told(sandbox) if isinstance(each.event, RefundTold | RefundsTotalled)
    ]

    assert told
    names = [each.event.payment for each in told if isinstance(each.event, RefundTold | RefundsTotalled)]
    assert {PaymentNamed(each.gateway_payment_id) for each in names} == {PaymentNamed(request.gateway_payment_id)}
    assert all(request.gateway_payment_id in each.references.objects for each in told)
