"""POST /webhooks/{gateway}: believe it, keep it, queue it, say so. The first half of an event's trip.

200 means that we hold the event, not that we have worked it. Nothing is written before the signature is verified.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from db.webhook_events import Arrival
from gateways.gateway import Gateway, Headers, Json, Rejected, Secret, Verified
from gateways.reading import NotAnEvent, parse
from ingress.keeping import Keeping, Unavailable
from ingress.metrics import Metrics
from ingress.repeats import Kept, body_key
from web import bodies
from web.problems import Problem, unavailable
from workers.hints import Hints
from workers.queues import WORK_WEBHOOK_EVENT

#: Gateways publish no limit; their largest samples have 8 kB, invoices with many lines more.
BODY_BYTES = 1024 * 1024
BODY_SECONDS = 10.0

#: Of each signature header, what is kept as evidence; a verified one is shorter.
HEADER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The route with what it needs. A gateway without secrets is not there: it answers 404, never "accepted"."""

    gateways: Mapping[str, Gateway]
    secrets: Mapping[str, tuple[Secret, ...]]
    keeping: Keeping
    hints: Hints
    metrics: Metrics
    body_seconds: float = BODY_SECONDS

    async def receive(self, request: Request) -> Kept:
        gateway, secrets = self._find(request)
        body = await bodies.read(request, limit_bytes=BODY_BYTES, limit_seconds=self.body_seconds)
        headers = _headers(request)

        verified = _believe(gateway, headers, body, secrets)
        event = _read(body)
        arrival = _describe(gateway, headers, body, event, verified)

        with self.metrics.keeping_seconds.time():
            kept = await self.keeping.keep(gateway, arrival, event)
        if kept.owed:
            self.hints.offer(WORK_WEBHOOK_EVENT, kept.id)
        return kept

    async def answer(self, request: Request) -> Response:
        """The route: ``receive``, told to the gateway and counted."""
        name = request.path_params["gateway"]
        gateway, outcome = name if name in self.gateways else "unknown", "failed"
        try:
            kept = await self.receive(request)
        except Unavailable:
            outcome = "unavailable"
            raise unavailable() from None
        except Problem as problem:
            outcome = problem.code
            raise
        else:
            outcome = "duplicate" if kept.duplicate else "received"
            self.metrics.last_delivery.labels(gateway).set_to_current_time()
            return JSONResponse({"received": True, "duplicate": kept.duplicate})
        finally:
            self.metrics.deliveries.labels(gateway, outcome).inc()

    def _find(self, request: Request) -> tuple[Gateway, tuple[Secret, ...]]:
        name = request.path_params["gateway"]
        gateway, secrets = self.gateways.get(name), self.secrets.get(name, ())
        if gateway is None or not secrets:
            raise Problem(404, "unknown_gateway", "There is no such gateway here.")
        return gateway, secrets


def _headers(request: Request) -> Headers:
    headers: dict[bytes, bytes] = {}
    for name, value in request.headers.raw:
        headers.setdefault(name.lower(), value)
    return headers


def _believe(gateway: Gateway, headers: Headers, body: bytes, secrets: tuple[Secret, ...]) -> Verified:
    verdict = gateway.verify(headers, body, secrets, time.time())
    if isinstance(verdict, Rejected):
        raise Problem(400, "invalid_signature", verdict.reason)
    return verdict


def _read(body: bytes) -> Json:
    try:
        return parse(body)
    except NotAnEvent as error:
        raise Problem(400, "malformed_body", str(error)) from None


def _describe(gateway: Gateway, headers: Headers, body: bytes, event: Json, verified: Verified) -> Arrival:
    envelope = gateway.envelope(headers, event)
    payload_hash = hashlib.sha256(body).hexdigest()
    event_id = envelope.event_id or body_key(payload_hash)
    if event_id.startswith("sha256:"):
        # An unsigned header must not pose as the key of another body.
        event_id = body_key(payload_hash)
    return Arrival(
        gateway=gateway.name,
        account=envelope.account,
        livemode=envelope.livemode,
        event_id=event_id,
        event_key=event_id,
        event_type=envelope.event_type,
        api_version=envelope.api_version,
        raw=body,
        payload_hash=payload_hash,
        signature_headers=_evidence(gateway, headers),
        secret_id=verified.secret_id,
        gateway_created_at=envelope.created_at,
    )


def _evidence(gateway: Gateway, headers: Headers) -> dict[str, str]:
    return {
        # Postgres holds every character but one.
        name.decode("latin-1"): headers[name].decode("latin-1")[:HEADER_LIMIT].replace("\0", "")
        for name in gateway.signature_headers
        if name in headers
    }
