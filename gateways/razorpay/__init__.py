"""Razorpay: signatures, envelopes, and its words in ours. No client in here: the ingress imports it."""

from __future__ import annotations

from gateways.gateway import Gateway
from gateways.razorpay.disputes import dashboard_url
from gateways.razorpay.envelope import EVENT_ID_HEADER, is_redelivery, read_envelope
from gateways.razorpay.events import EVENT_TYPES, translate
from gateways.razorpay.signature import HEADER, verify

RAZORPAY = Gateway(
    name="razorpay",
    signature_headers=(HEADER, EVENT_ID_HEADER),
    signs_event_id=False,
    verify=verify,
    envelope=read_envelope,
    is_redelivery=is_redelivery,
    translate=translate,
    event_types=EVENT_TYPES,
    dispute_url=dashboard_url,
)
