"""Each line of a timeline in a sentence, as a person at the desk reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from payments.money import exponent, written
from payments.timeline import Entry, Kind

Detail = Mapping[str, Any]


def say(entry: Entry) -> str:
    """One line, without what is hidden. A field that is missing leaves its words out."""
    sentence = SENTENCES[entry.kind](entry.detail)
    return f"{entry.subject} {sentence}" if entry.kind is Kind.MOVE else sentence


def amount_of(minor: int, currency: str, gateway: str | None) -> str:
    """``-19.00 USD``: in the gateway's own decimals, by integer arithmetic alone."""
    return ("-" if minor < 0 else "") + written(abs(minor), currency, exponent=exponent(gateway, currency))


def decimals_of(minor: int, currency: str, gateway: str | None) -> str:
    """``-19.00``, for a column whose currency stands in another."""
    return amount_of(minor, currency, gateway).split()[0]


def _money(detail: Detail, name: str = "amount") -> str:
    minor, currency = detail.get(name), detail.get("currency")
    return amount_of(minor, currency, detail.get("gateway")) if isinstance(minor, int) and currency else ""


def _joined(*words: object) -> str:
    return " ".join(str(word) for word in words if word not in (None, "", ()))


def _labelled(label: str, value: object) -> str:
    return f"{label} {value}" if value not in (None, "", []) else ""


def _listed(sentence: str, *more: str) -> str:
    """What is most telling first, then what there is to add."""
    return ", ".join(filter(None, (sentence, *more)))


def _day(moment: object) -> str:
    """As JSON writes a moment: to the second, the zone left out."""
    return str(moment)[:19].replace("T", " ") if moment else ""


def _times(count: object) -> str:
    return f"{count} times" if isinstance(count, int) and count > 1 else ""


def _placed(d: Detail) -> str:
    keys = ", ".join(d.get("idempotencyKeys") or ())
    return _listed(
        _joined("order placed by", d["caller"], "for", d.get("plan"), _money(d)),
        _labelled("caller's key", keys),
    )


def _customer(d: Detail) -> str:
    made = _joined("customer", d.get("customer")) if d.get("customer") else "customer asked for"
    return _listed(f"{made} at {d['gateway']}", _labelled("our key", d["idempotencyKey"]))


def _attempt(d: Detail) -> str:
    return _listed(
        _joined("page", d["number"], "asked of", f"{d['gateway']}:", d["status"], d.get("session")),
        _labelled("our key", d["idempotencyKey"]),
        _labelled("sent", _times(d.get("calls"))),
        d.get("error") or "",
    )


def _asked(d: Detail) -> str:
    return _listed(
        _joined(d["what"], "asked by", d["by"], f"of {d['gateway']}:" if d.get("gateway") else ":", d["status"]),
        _labelled("our key", d["idempotencyKey"]),
        _labelled("sent", _times(d.get("calls"))),
        d.get("error") or "",
    )


def _call(d: Detail) -> str:
    return _listed(
        _joined(d["gateway"], d["operation"], d["outcome"]),
        _labelled("request", d.get("requestId")),
        f"{d['milliseconds']} ms",
    )


def _delivery(d: Detail) -> str:
    came = "fetched from its list" if d.get("source") == "backfill" else "received"
    became = d["status"] if d["status"] != "done" else "worked"
    signed = f"signed with {d['signedWith']}" if d.get("signedWith") else ""
    return _listed(
        _joined(d["gateway"], d["type"], f"{came}:", became, d.get("reason"), d.get("error")),
        d["event"],
        _times(d.get("deliveries")),
        signed,
    )


def _work(d: Detail) -> str:
    return _listed(
        _joined("attempt ended:", d["outcome"], d.get("class")),
        _joined(f"{d['errorClass']}:" if d.get("errorClass") else "", d.get("error")),
        _labelled("by", d.get("worker")),
    )


def _payment(d: Detail) -> str:
    back = _joined(_money(d, "refunded"), "refunded") if d.get("refunded") else ""
    return _listed(
        _joined("payment", d["payment"], _money(d), d["status"], d.get("standing")),
        _labelled("of invoice", d.get("invoice")),
        _joined(d.get("failure"), f"({d['gatewayReason']})" if d.get("gatewayReason") else ""),
        back,
    )


def _invoice(d: Detail) -> str:
    return _listed(
        _joined(d["reason"], "invoice", d.get("number"), _money(d), d["status"]),
        d["invoice"],
        _labelled("until", _day(d.get("periodEnd"))),
        d.get("failure") or "",
    )


def _refund(d: Detail) -> str:
    return _listed(
        _joined("refund of", _money(d), "by", f"{d['by']}:", d["status"], d.get("refund")),
        d["reason"],
        _labelled("our key", d.get("idempotencyKey")),
        _labelled("failed with", d.get("failure")),
    )


def _dispute(d: Detail) -> str:
    return _listed(
        _joined("dispute of", f"{_money(d)}:", d["status"], d["dispute"]),
        d.get("reason") or "",
        _joined(_money(d, "withdrawn"), "withdrawn") if d.get("withdrawn") else "",
        _joined(_money(d, "reinstated"), "reinstated") if d.get("reinstated") else "",
        _labelled("evidence due", _day(d.get("evidenceDueAt"))),
        d.get("dashboard") or "",
    )


def _move(d: Detail) -> str:
    told = d.get("told") or {}
    moved = f"{d['from']} -> {d['to']}" if d.get("from") else f"{d['to']}"
    changed = ", ".join(name for name in told if name not in {"amount", "currency", "payment", "access"})
    return _listed(moved, _labelled("changed", changed) if not d.get("from") else "", _because(d))


def _because(d: Detail) -> str:
    if not d.get("cause"):
        return ""
    return _joined("by", d.get("causeEvent") or _joined(d["cause"].replace("_", " "), d["causeId"]))


def _access(d: Detail) -> str:
    state = "access" if d.get("active") else "no access"
    return _listed(_joined(f"{state}:", d.get("reason")), _labelled("until", _day(d.get("until"))), _because(d))


def _movement(d: Detail) -> str:
    return _listed(_joined(d["what"].replace("_", " "), _money(d)), _because(d))


def _effect(d: Detail) -> str:
    return _listed(
        _joined(f"{d['what']}:", d["status"]),
        _day(d.get("sentAt")),
        f"{d['attempts']} attempts" if d.get("attempts", 0) > 1 else "",
        d.get("note") or "",
    )


def _discrepancy(d: Detail) -> str:
    return _listed(
        _joined(f"{d['what']}:", d["state"], _labelled("by", d.get("closedBy"))),
        _joined(_money(d), "at risk") if d.get("amount") else "",
        _labelled("proposed", d["proposed"]),
    )


def _dead_letter(d: Detail) -> str:
    return _listed(
        _joined(d["what"], f"died, {d['state']}", _labelled("by", d.get("closedBy"))),
        _joined(f"{d['errorClass']}:", d["error"]),
        _labelled("why", d.get("closedReason")),
    )


def _act(d: Detail) -> str:
    return _listed(_joined(d["by"], "did", d["what"]), _labelled("why:", d["why"]))


SENTENCES: Mapping[Kind, Callable[[Detail], str]] = {
    Kind.PLACED: _placed,
    Kind.CUSTOMER: _customer,
    Kind.ATTEMPT: _attempt,
    Kind.ASKED: _asked,
    Kind.CALL: _call,
    Kind.DELIVERY: _delivery,
    Kind.WORK: _work,
    Kind.PAYMENT: _payment,
    Kind.INVOICE: _invoice,
    Kind.REFUND: _refund,
    Kind.DISPUTE: _dispute,
    Kind.MOVE: _move,
    Kind.ACCESS: _access,
    Kind.MOVEMENT: _movement,
    Kind.EFFECT: _effect,
    Kind.DISCREPANCY: _discrepancy,
    Kind.DEAD_LETTER: _dead_letter,
    Kind.ACT: _act,
}
