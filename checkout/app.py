"""The checkout as an application: its routes, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from limits import RateLimitItem
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from checkout.access import Access
from checkout.callers import Callers
from checkout.healing import Healing
from checkout.history import History
from checkout.idempotency import HEADER as IDEMPOTENCY_KEY
from checkout.invoices import Invoices
from checkout.limiting import RATE_HEADERS, Limiter
from checkout.metrics import Metrics
from checkout.openapi import description
from checkout.opening import BODY_SECONDS, OPEN_SECONDS, Opener
from checkout.orders import Orders
from checkout.page_addresses import PageAddresses
from checkout.page_tokens import PageTokens
from checkout.pages import pages
from checkout.payments import Payments
from checkout.plan_changes import PlanChanges
from checkout.plans import Plans
from checkout.problems import PROBLEM_HANDLERS
from checkout.record import Record
from checkout.refunds import Refunds
from checkout.subscribing import Subscribing
from checkout.subscriptions import Subscriptions
from checkout.tokens import Tokens
from gateways.client import Client
from web.frame import frame
from web.problems import unavailable
from workers.apply import Book
from workers.attempts import Counter

#: Asked from inside the network, by what watches over us.
PLAIN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

#: What a frontend on another origin may read of an answer beside its body.
EXPOSED = (*RATE_HEADERS, "Retry-After", "Idempotent-Replayed", "X-Request-Id")


@dataclass(frozen=True, slots=True)
class Values:
    """What the checkout is started with. ``make_clients`` is called in the loop that serves, and names them by gateway,
    the preferred one first. ``cors_origins`` are the frontends that call us from another origin: none by default.
    """

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    make_clients: Callable[[], Mapping[str, Client]]
    tokens: Tokens
    page_tokens: PageTokens
    rate_limit: RateLimitItem
    book: Book
    app_url: str
    production: bool
    return_url: str | None = None
    cors_origins: Sequence[str] = ()
    open_seconds: float = OPEN_SECONDS
    body_seconds: float = BODY_SECONDS


def build(values: Values) -> Starlette:
    """Starts, and answers 503, while the database is away; needs no restart when it returns."""
    record = Record(values.database_url)
    limiter = Limiter(values.redis_url, values.rate_limit)
    metrics = Metrics()
    metrics.limits_alone.set_function(lambda: limiter.is_alone)
    clients: dict[str, Client] = {}
    callers = Callers(values.tokens)
    addresses = PageAddresses(values.app_url, values.page_tokens)
    counter = Counter(values.book, addresses.of_order, addresses.cancelled)

    plans = Plans(record, callers, clients)
    opener = Opener(record, callers, limiter, clients, counter, metrics, values.open_seconds, values.body_seconds)
    payments, subscribing = Payments(opener), Subscribing(opener)
    changes = PlanChanges(record, clients, values.book)
    return_url = values.return_url or values.app_url
    subscriptions = Subscriptions(record, callers, clients, values.book, changes, return_url)
    invoices = Invoices(record, callers)
    healing = Healing(record, clients, values.book)
    orders = Orders(record, callers, addresses, healing)
    history = History(record, callers)
    access = Access(record, callers, values.book.clock)
    refunds = Refunds(record, callers, values.book.clock)
    shown = pages(record, values.page_tokens, values.return_url)
    described = description(values.app_url)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(record)
            stack.push_async_callback(limiter.aclose)
            clients.update(values.make_clients())
            for client in clients.values():
                stack.push_async_callback(client.aclose)
            await stack.enter_async_context(healing)
            yield

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if not await record.is_ready():
            raise unavailable("The database does not answer.")
        return JSONResponse({"status": "ready"})

    async def expose(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def describe(_: Request) -> Response:
        return JSONResponse(described)

    app = Starlette(
        routes=[
            Route("/plans", plans.list_plans),
            Route("/create-payment", payments.create_payment, methods=["POST"]),
            Route("/create-subscription", subscribing.create_subscription, methods=["POST"]),
            Route("/subscriptions", subscriptions.list_subscriptions),
            Route("/subscriptions/{subscription_id}", subscriptions.show_subscription),
            Route("/subscriptions/{subscription_id}/cancel", subscriptions.cancel, methods=["POST"]),
            Route("/subscriptions/{subscription_id}/pause", subscriptions.pause, methods=["POST"]),
            Route("/subscriptions/{subscription_id}/resume", subscriptions.resume, methods=["POST"]),
            Route("/subscriptions/{subscription_id}/change-plan", subscriptions.change_plan, methods=["POST"]),
            Route(
                "/subscriptions/{subscription_id}/update-payment-method",
                subscriptions.update_payment_method,
                methods=["POST"],
            ),
            Route("/invoices", invoices.list_invoices),
            Route("/order-status/{order_id}", orders.show_status),
            Route("/orders", orders.list_orders),
            Route("/orders/{order_id}/history", history.show),
            Route("/refunds", refunds.create_refund, methods=["POST"]),
            Route("/refunds/{refund_id}", refunds.show_refund),
            Route("/access", access.show_own),
            Route("/users/{user_id:path}/access", access.show_users),
            Route("/payment/success", shown.show_success),
            Route("/payment/cancel", shown.show_cancel),
            Route("/payment/static/{name}", shown.send_static, include_in_schema=False),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", expose),
            Route("/openapi.json", describe),
        ],
        middleware=[*_cors(values.cors_origins), *frame(production=values.production, plain_paths=PLAIN_PATHS)],
        exception_handlers=PROBLEM_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _cors(origins: Sequence[str]) -> list[Middleware]:
    """Outermost, so that a frontend can read our refusals too. No cookies: who calls brings a token in a header."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", IDEMPOTENCY_KEY],
            expose_headers=EXPOSED,
        )
    ]
