"""Disputes by calls: read, answered with evidence, given up. What becomes of one is told in ``disputing``."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import dispute_shapes, disputing, lists
from sandbox.stripe.calls import Call
from sandbox.stripe.disputing import INQUIRIES, KIND
from sandbox.stripe.errors import StripeError
from sandbox.stripe.parameters import Parameters

EVIDENCE_MAX = 20_000
_SUBMISSION_METHODS = {"manual", "prefer_manual", "prefer_smart_disputes", "smart_disputes"}


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_disputes(call: Call) -> Json:
    asked = {name: call.parameters.text(name) for name in ("charge", "payment_intent")}
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/disputes", matching=matching)


def update(call: Call) -> Json:
    """Evidence, which is sent to the bank unless the call says that more is to come."""
    dispute, parameters = call.find(KIND, call.ids["id"]), call.parameters
    evidence = _read_evidence(parameters.level("evidence"))
    is_submitted = parameters.flag("submit") is not False
    changes: Json = {"metadata": parameters.metadata(dispute["metadata"])}
    method = parameters.choice("intended_submission_method", _SUBMISSION_METHODS)
    parameters.refuse_rest()
    if method is not None:
        changes["intended_submission_method"] = method
    if not evidence:
        return disputing.update(call.world, dispute, call.cause, **changes)
    _refuse_closed(dispute)
    changes |= _with_evidence(dispute, evidence, is_submitted=is_submitted)
    dispute = disputing.update(call.world, dispute, call.cause, **changes)
    return _judge(call, dispute, evidence.get("uncategorized_text")) if is_submitted else dispute


def close(call: Call) -> Json:
    """The seller has nothing to say: a dispute is lost, and an inquiry over."""
    call.parameters.refuse_rest()
    dispute = call.find(KIND, call.ids["id"])
    _refuse_closed(dispute)
    return disputing.concede(call.world, dispute, call.cause)


def _judge(call: Call, dispute: Json, text: str | None) -> Json:
    """What the bank makes of these texts (docs.stripe.com/testing#disputes); any other leaves it to be ordered."""
    match text:
        case "winning_evidence":
            return disputing.convince(call.world, dispute, call.cause)
        case "losing_evidence":
            return disputing.concede(call.world, dispute, call.cause)
        case "escalate_inquiry_evidence" if dispute["status"] in INQUIRIES:
            return disputing.escalate(call.world, dispute, call.cause)
        case _:
            return dispute


def _with_evidence(dispute: Json, evidence: Json, *, is_submitted: bool) -> Json:
    details = {**dispute["evidence_details"], "has_evidence": True}
    changes: Json = {"evidence": {**dispute["evidence"], **evidence}, "evidence_details": details}
    if is_submitted:
        details["submission_count"] += 1
        changes["status"] = "warning_under_review" if dispute["status"] in INQUIRIES else "under_review"
    return changes


def _read_evidence(level: Parameters | None) -> Json:
    if level is None:
        return {}
    told = {name: level.text(name, limit=EVIDENCE_MAX) for name in dispute_shapes.EVIDENCE}
    level.refuse_simulation_of(["enhanced_evidence"])
    level.refuse_rest()
    return {name: value for name, value in told.items() if value is not None}


def _refuse_closed(dispute: Json) -> None:
    if dispute["status"] not in {*disputing.OPEN, *INQUIRIES}:
        raise StripeError("This dispute is already closed", code="dispute_already_closed", executed=True)
