"""Disputes by calls: read, accepted, contested. What becomes of one is told in ``disputing``."""

from __future__ import annotations

from sandbox.razorpay import disputing
from sandbox.razorpay.calls import Call, collection, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.fields import Fields
from sandbox.store import Json

KIND = disputing.KIND
SUMMARY_MAX = 1000
DOCUMENTS_MAX = 20

_DOCUMENTS = (
    "shipping_proof", "billing_proof", "cancellation_proof", "customer_communication", "proof_of_service",
    "explanation_letter", "refund_confirmation", "access_activity_log", "refund_cancellation_policy",
    "term_and_conditions",
)  # fmt: skip


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_disputes(call: Call) -> Json:
    return collection(call, KIND)


def accept(call: Call) -> Json:
    """The merchant gives up: what was disputed is the customer's."""
    return disputing.lose(call.world, _open(call))


def contest(call: Call) -> Json:
    """Evidence, as a draft or for the bank; once it is with the bank nothing can be added."""
    dispute, fields = _open(call), call.fields
    action = fields.text("action") or "draft"
    if action not in {"draft", "submit"}:
        raise invalid("The action must be draft or submit.", "action")
    if dispute["evidence"]["submitted_at"] is not None:
        raise invalid("The evidence of this dispute has been submitted already.")
    dispute["evidence"] |= _read(dispute, fields)
    if action == "draft":
        return keep(call.world, KIND, dispute)
    dispute["evidence"]["submitted_at"] = call.world.clock.now()
    return disputing.move(call.world, dispute, "under_review", status="under_review")


def _open(call: Call) -> Json:
    dispute = call.find(KIND, call.ids["id"])
    if dispute["status"] not in disputing.OPEN:
        raise invalid("Only disputes which are open or under review can be accepted or contested.")
    return dispute


def _read(dispute: Json, fields: Fields) -> Json:
    fields.refuse_extra({"action", "amount", "summary", "others", *_DOCUMENTS})
    told: Json = {
        "amount": fields.integer("amount", lowest=1, highest=dispute["amount"]),
        "summary": fields.text("summary", limit=SUMMARY_MAX),
        **{name: fields.texts(name, limit=DOCUMENTS_MAX) for name in _DOCUMENTS},
    }
    others = fields.levels("others", limit=DOCUMENTS_MAX)
    told["others"] = [
        {"type": each.text("type"), "document_ids": each.texts("document_ids", limit=DOCUMENTS_MAX)} for each in others
    ]
    return {name: value for name, value in told.items() if value}
