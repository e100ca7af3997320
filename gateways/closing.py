"""Is the session closed? Not the answer to our request decides it, but what the gateway holds afterwards."""

from __future__ import annotations

from gateways.calling import Answer, Denial
from gateways.client import Closed, Doubt, Gone, Paid, Refused, SessionState, Unknown
from payments.events import Observed, PaymentAuthorised, PaymentPending, PaymentSucceeded


def judge_closed(
    asked: Answer | Denial | Unknown, state: SessionState | Gone | Refused | Unknown
) -> Closed | Paid | Gone | Refused | Unknown:
    """``asked``: how our request to close ended; a gateway also refuses to close what is closed, and what is paid."""
    match state:
        case SessionState(is_open=True):
            return _still_open(asked)
        case SessionState(observed=observed) if any(_is_money(each) for each in observed):
            return Paid(observed)
        case SessionState(observed=observed):
            return Closed(observed)
        case Gone() | Refused() | Unknown():
            return state


def _still_open(asked: Answer | Denial | Unknown) -> Refused | Unknown:
    match asked:
        case Denial() as denial:
            return denial.refused
        case Unknown() as unknown:
            return unknown
        case Answer():
            return Unknown(Doubt.STILL_OPEN)


def _is_money(observed: Observed) -> bool:
    """Taken, promised, or on its way."""
    return isinstance(observed.event, PaymentSucceeded | PaymentAuthorised | PaymentPending)
