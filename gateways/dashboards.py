"""Where a person works on a dispute in its gateway's own dashboard: evidence is given, or the claim accepted, there."""

from __future__ import annotations

from dataclasses import replace

from gateways.registry import GATEWAYS
from payments.timeline import Entry, Kind


def dispute_page(gateway: str, gateway_dispute_id: str) -> str | None:
    """None where the gateway has no such page, or the id has not the shape of one. In which mode it is, our rows do not
    say: the dashboard finds it."""
    known = GATEWAYS.get(gateway)
    is_an_id = gateway_dispute_id.isascii() and gateway_dispute_id.replace("_", "").isalnum()
    return known.dispute_url(gateway_dispute_id, livemode=None) if known and is_an_id else None


def with_page(entry: Entry) -> Entry:
    """A dispute's line with its page; any other as it is."""
    if entry.kind is not Kind.DISPUTE:
        return entry
    page = dispute_page(str(entry.detail["gateway"]), str(entry.detail["dispute"]))
    return replace(entry, detail={**entry.detail, "dashboard": page})
