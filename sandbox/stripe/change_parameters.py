"""What a call changes about a subscription: notes, plans for its end, and what concerns the money."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.store import Json
from sandbox.stripe import diary
from sandbox.stripe import subscription_parameters as reading
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError
from sandbox.stripe.subscriptions import PAYMENT_BEHAVIOURS, PRORATIONS, planned_end

#: What may still be noted when it is over.
_OF_THE_ENDED = {"metadata", "cancellation_details"}
_PAUSES = ("keep_as_draft", "mark_uncollectible", "void")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a call concerns the money; None where nothing is said about it."""

    items: list[Json] | None
    trial_end: int | None
    begins_cycle: bool
    proration: str
    prorated_at: int
    behaviour: str
    is_present: bool

    @property
    def concerns_money(self) -> bool:
        return self.items is not None or self.trial_end is not None or self.begins_cycle


def read_notes(call: Call, subscription: Json) -> Json:
    """What changes nothing about the money that is due now."""
    parameters, after = call.parameters, dict(subscription)
    after["metadata"] = parameters.metadata(after["metadata"])
    if "description" in parameters:
        after["description"] = parameters.text("description", limit=500)
    if parameters.is_cleared("default_payment_method"):
        after["default_payment_method"] = None
    after["default_payment_method"] = reading.read_method(call, after["customer"]) or after["default_payment_method"]
    after["trial_settings"] = reading.read_trial_settings(parameters) or after["trial_settings"]
    after["payment_settings"] = reading.read_payment_settings(parameters) or after["payment_settings"]
    after["pause_collection"] = _read_pause(call, after["pause_collection"])
    after |= _read_end(call, after)
    details = reading.read_cancellation_details(parameters)
    after["cancellation_details"] = {**after["cancellation_details"], **details}
    return after


def _read_end(call: Call, subscription: Json) -> Json:
    """When it is to end; an end that was planned is taken back by ``false``, or by an empty ``cancel_at``."""
    parameters = call.parameters
    ends_with_period, is_taken_back = parameters.flag("cancel_at_period_end"), parameters.is_cleared("cancel_at")
    named = parameters.text("cancel_at")
    if named in {"min_period_end", "max_period_end"}:
        cancel_at: int | None = diary.period_of(subscription)[1]
    else:
        cancel_at = parameters.integer("cancel_at")
    if is_taken_back or (ends_with_period is False and cancel_at is None and subscription["cancel_at_period_end"]):
        details = {**subscription["cancellation_details"], "reason": None}
        taken_back: Json = {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
        return {**taken_back, "cancellation_details": details}
    return planned_end(call, subscription, ends_with_period=ends_with_period, cancel_at=cancel_at)


def _read_pause(call: Call, before: Json | None) -> Json | None:
    if call.parameters.is_cleared("pause_collection"):
        return None
    level = call.parameters.level("pause_collection")
    if level is None:
        return before
    behaviour, resumes_at = level.choice("behavior", _PAUSES), level.integer("resumes_at")
    level.refuse_rest()
    if resumes_at is not None and resumes_at <= call.world.clock.now():
        raise StripeError("`resumes_at` must be a future timestamp.", param=level.name("resumes_at"))
    return {"behavior": behaviour or (before or {}).get("behavior", "void"), "resumes_at": resumes_at}


def read_wanted(call: Call, subscription: Json) -> Wanted:
    parameters, now = call.parameters, call.world.clock.now()
    at = parameters.integer("proration_date")
    start, end = diary.period_of(subscription)
    if at is not None and not start <= at <= end:
        message = "Cannot specify `proration_date` outside of the current period."
        raise StripeError(message, param="proration_date")
    return Wanted(
        items=reading.read_changed_items(call, subscription),
        trial_end=reading.read_trial_end(call, parameters),
        begins_cycle=reading.read_anchor_now(call, parameters),
        proration=parameters.choice("proration_behavior", PRORATIONS) or "create_prorations",
        prorated_at=now if at is None else at,
        behaviour=parameters.choice("payment_behavior", PAYMENT_BEHAVIOURS) or "allow_incomplete",
        is_present=parameters.flag("off_session") is False,
    )


def refuse_unfit(subscription: Json, after: Json, wanted: Wanted) -> None:
    changed = {name for name, value in after.items() if subscription[name] != value}
    if diary.is_ended(subscription) and (wanted.concerns_money or not changed <= _OF_THE_ENDED):
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise StripeError(message, executed=True)
    if subscription["status"] == "incomplete" and wanted.concerns_money:
        message = "You cannot update a subscription that is `incomplete`, except for its metadata and default source."
        raise StripeError(message, executed=True)
    if wanted.concerns_money and subscription["schedule"] is not None and wanted.items is not None:
        message = (
            "The subscription is managed by the subscription schedule"
            f" `{subscription['schedule']}`, and updating any items directly is not allowed."
        )
        raise StripeError(message, param="items", executed=True)
    if wanted.behaviour == "default_incomplete":
        raise StripeError("The sandbox does not simulate `default_incomplete` for changes.", param="payment_behavior")
