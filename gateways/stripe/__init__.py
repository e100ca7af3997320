"""Stripe: signatures, envelopes, and its words in ours. No client in here: the ingress imports it."""

from __future__ import annotations

from gateways.gateway import Gateway
from gateways.stripe.disputes import dashboard_url
from gateways.stripe.envelope import is_redelivery, read_envelope
from gateways.stripe.events import EVENT_TYPES, translate
from gateways.stripe.signature import HEADER, verify

STRIPE = Gateway(
    name="stripe",
    signature_headers=(HEADER,),
    signs_event_id=True,
    verify=verify,
    envelope=read_envelope,
    is_redelivery=is_redelivery,
    translate=translate,
    event_types=EVENT_TYPES,
    dispute_url=dashboard_url,
)
