"""Telling a form that is sent twice from one that is sent anew, where no script could stop the second press."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.razorpay.payments import Means
from sandbox.store import Json


def mark_of(payment: Json) -> str:
    """What a form carries, to know later whether anything was attempted since it was shown."""
    return str(payment.get("id", "nothing"))


def last4_of(payment: Json) -> str | None:
    return (payment.get("card") or {}).get("last4")


def is_repeated(last: Json, form: Mapping[str, str], means: Means) -> bool:
    """The form has been sent before, with this card or address; ``last`` is the attempt since, or empty."""
    same = last.get("vpa") == means.vpa and last4_of(last) == (means.card and means.card.last4)
    return form.get("after") not in {None, mark_of(last)} and bool(last) and same
