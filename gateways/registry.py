"""Which gateways there are: one line each. Imports no client, so that the ingress stays thin."""

from __future__ import annotations

from gateways.gateway import Gateway
from gateways.razorpay import RAZORPAY
from gateways.stripe import STRIPE

GATEWAYS: dict[str, Gateway] = {gateway.name: gateway for gateway in (STRIPE, RAZORPAY)}
