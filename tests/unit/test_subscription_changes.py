"""What is asked of each gateway so that a subscription changes: nothing where it is so, and no where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.client import PlanChange, Refusal, Refused
from gateways.razorpay import changes as razorpay
from gateways.razorpay.changes import Verb
from gateways.stripe import changes as stripe
from gateways.stripe.changes import NEW_PERIOD, OLD_PERIOD, Cancel, Pause, Release, Resume, Schedule, Update
from gateways.translating import Unreadable

NOW, LATER = PlanChange("price_2", "month", is_immediate=True), PlanChange("price_2", "month", is_immediate=False)
BACK = PlanChange("price_1", "month", is_immediate=False)
NO = "no"

AT_END = Update({"cancel_at_period_end": True})
NOT_AT_END = Update({"cancel_at_period_end": False})
COLLECT = Update({"pause_collection": ""})
TO_PRICE = Update(
    {
        "items": [{"id": "si_1", "price": "price_2"}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
)


def at_stripe(status: str = "active", **more: Any) -> dict[str, Any]:
    item = {"id": "si_1", "price": {"id": "price_1"}}
    return {"id": "sub_1", "status": status, "items": {"data": [item]}, **more}


def at_razorpay(status: str = "active", **more: Any) -> dict[str, Any]:
    return {"id": "sub_1", "status": status, "plan_id": "price_1", "payment_method": "card", **more}


def outcome(steps: Any) -> Any:
    if isinstance(steps, Refused):
        assert steps.code is Refusal.STATE
        return NO
    return steps


@pytest.mark.parametrize(
    ("subscription", "at_period_end", "expected"),
    [
        (at_stripe(), True, (AT_END,)),
        (at_stripe("trialing"), True, (AT_END,)),
        (at_stripe(schedule="sub_sched_1"), True, (Release("sub_sched_1"), AT_END)),
        (at_stripe(cancel_at_period_end=True), True, ()),
        (at_stripe(cancel_at=1_800_000_000), True, ()),
        (at_stripe(cancel_at_period_end=True), False, (Cancel(),)),
        (at_stripe("past_due"), False, (Cancel(),)),
        (at_stripe("paused"), True, NO),
        (at_stripe("canceled"), True, ()),
        (at_stripe("incomplete_expired"), False, ()),
    ],
)
def test_stripe_cancels(subscription: dict[str, Any], at_period_end: bool, expected: Any) -> None:
    assert outcome(stripe.to_cancel(subscription, at_period_end=at_period_end)) == expected


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        (at_stripe(), (Pause(),)),
        (at_stripe("trialing"), (Pause(),)),
        (at_stripe(schedule={"id": "sub_sched_1"}), (Release("sub_sched_1"), Pause())),
        (at_stripe("paused"), ()),
        (at_stripe(pause_collection={"behavior": "void"}), ()),
        (at_stripe("incomplete"), NO),
        (at_stripe("canceled"), NO),
    ],
)
def test_f79_stripe_pauses(subscription: dict[str, Any], expected: Any) -> None:
    assert outcome(stripe.to_pause(subscription)) == expected


@pytest.mark.parametrize(
    ("subscription", "keeps_period", "expected"),
    [
        (at_stripe(), True, ()),
        (at_stripe("paused"), True, (Resume(OLD_PERIOD),)),
        (at_stripe("paused"), False, (Resume(NEW_PERIOD),)),
        (at_stripe("paused", cancel_at_period_end=True), True, (NOT_AT_END, Resume(OLD_PERIOD))),
        (at_stripe(cancel_at_period_end=True), True, (NOT_AT_END,)),
        (at_stripe(cancel_at=1_800_000_000), True, (Update({"cancel_at": ""}),)),
        (at_stripe(pause_collection={"behavior": "void"}), True, (COLLECT,)),
        (at_stripe("canceled"), True, NO),
    ],
)
def test_stripe_resumes(subscription: dict[str, Any], keeps_period: bool, expected: Any) -> None:
    assert outcome(stripe.to_resume(subscription, keeps_period=keeps_period)) == expected


@pytest.mark.parametrize(
    ("subscription", "change", "expected"),
    [
        (at_stripe(), NOW, (TO_PRICE,)),
        (at_stripe(schedule="sub_sched_1"), NOW, (Release("sub_sched_1"), TO_PRICE)),
        (at_stripe(pending_update={"subscription_items": [{"price": {"id": "price_2"}}]}), NOW, ()),
        (at_stripe(), LATER, (Schedule("price_2"),)),
        (at_stripe(schedule="sub_sched_1"), LATER, (Release("sub_sched_1"), Schedule("price_2", "sub_sched_1"))),
        (at_stripe(cancel_at_period_end=True), LATER, NO),
        (at_stripe(), BACK, ()),
        (at_stripe(schedule="sub_sched_1"), BACK, (Release("sub_sched_1"),)),
        (at_stripe("paused"), NOW, NO),
        (at_stripe("past_due"), NOW, NO),
        (at_stripe("past_due"), BACK, ()),
        (at_stripe("unpaid", schedule="sub_sched_1"), BACK, (Release("sub_sched_1"),)),
        (at_stripe("past_due", pending_update={"subscription_items": [{"price": {"id": "price_2"}}]}), NOW, ()),
        (at_stripe("paused"), BACK, NO),
        (at_stripe("canceled"), BACK, NO),
        (at_stripe("canceled"), LATER, NO),
        (at_stripe(items={"data": [{"id": "si_1"}, {"id": "si_2"}]}), NOW, NO),
    ],
)
def test_f90_stripe_changes_the_plan(subscription: dict[str, Any], change: PlanChange, expected: Any) -> None:
    assert outcome(stripe.to_change_plan(subscription, change)) == expected


@pytest.mark.parametrize(
    "refused",
    [
        *(stripe.to_change_plan(at_stripe(status), NOW) for status in ("past_due", "unpaid")),
        *(razorpay.to_change_plan(at_razorpay(status), NOW) for status in ("pending", "halted")),
    ],
)
def test_while_a_renewal_is_unpaid_the_plan_stays_and_the_refusal_says_why(refused: Any) -> None:
    assert isinstance(refused, Refused)
    assert refused.reason.endswith("a renewal of it has not been paid")


@pytest.mark.parametrize("broken", [{}, {"status": 1}, {"status": "active", "items": []}])
def test_what_cannot_be_read_is_not_changed(broken: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        stripe.to_change_plan(broken, NOW)


def test_the_next_phase_follows_the_one_that_runs_and_then_lets_go() -> None:
    runs = {"items": [{"price": "price_1", "quantity": 1}], "start_date": 1, "end_date": 2}

    asked = stripe.next_phase({"phases": [runs]}, "price_2")

    assert asked["end_behavior"] == "release"
    assert [phase["items"][0]["price"] for phase in asked["phases"]] == ["price_1", "price_2"]
    assert (asked["phases"][0]["start_date"], asked["phases"][0]["end_date"]) == (1, 2)


@pytest.mark.parametrize(
    ("subscription", "at_period_end", "expected"),
    [
        (at_razorpay(), True, [Verb.CANCEL]),
        (at_razorpay(), False, [Verb.CANCEL]),
        (at_razorpay("authenticated"), True, NO),
        (at_razorpay("authenticated"), False, [Verb.CANCEL]),
        (at_razorpay("halted"), True, NO),
        (at_razorpay("halted"), False, [Verb.CANCEL]),
        (at_razorpay("cancelled"), False, []),
        (at_razorpay("completed"), True, []),
    ],
)
def test_razorpay_cancels(subscription: dict[str, Any], at_period_end: bool, expected: Any) -> None:
    steps = outcome(razorpay.to_cancel(subscription, at_period_end=at_period_end))

    assert (steps if steps == NO else [step.verb for step in steps]) == expected


@pytest.mark.parametrize(
    ("subscription", "pause", "resume"),
    [
        (at_razorpay(), [Verb.PAUSE], []),
        (at_razorpay("paused"), [], [Verb.RESUME]),
        (at_razorpay("authenticated"), NO, []),
        (at_razorpay("pending"), NO, []),
        (at_razorpay("cancelled"), NO, NO),
    ],
)
def test_f79_razorpay_pauses_what_is_active_and_resumes_what_is_paused(
    subscription: dict[str, Any], pause: Any, resume: Any
) -> None:
    paused = outcome(razorpay.to_pause(subscription))
    resumed = outcome(razorpay.to_resume(subscription, is_set_to_end=False))

    assert (paused if paused == NO else [step.verb for step in paused]) == pause
    assert (resumed if resumed == NO else [step.verb for step in resumed]) == resume


def test_razorpay_takes_no_end_back_that_it_does_not_even_show() -> None:
    assert outcome(razorpay.to_resume(at_razorpay(), is_set_to_end=True)) == NO


@pytest.mark.parametrize(
    ("subscription", "change", "expected"),
    [
        (at_razorpay(), NOW, "now"),
        (at_razorpay(), LATER, "cycle_end"),
        (at_razorpay("authenticated"), LATER, "now"),
        (at_razorpay(payment_method="upi"), NOW, NO),
        (at_razorpay("pending"), NOW, NO),
        (at_razorpay("paused"), LATER, NO),
        (at_razorpay(), BACK, None),
        (at_razorpay(has_scheduled_changes=True), BACK, Verb.FORGET),
        (at_razorpay("pending"), BACK, None),
        (at_razorpay("halted", has_scheduled_changes=True), BACK, Verb.FORGET),
        (at_razorpay("cancelled"), BACK, NO),
    ],
)
def test_f90_razorpay_changes_the_plan_of_a_card(
    subscription: dict[str, Any], change: PlanChange, expected: Any
) -> None:
    steps = outcome(razorpay.to_change_plan(subscription, change))

    told = next((step.body.get("schedule_change_at", step.verb) for step in steps), None) if steps != NO else NO
    assert told == expected
