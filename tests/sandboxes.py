"""A sandbox to talk to and a receiver for its webhooks, both real servers on loopback, for tests of either side."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import razorpay
import stripe

from sandbox import server
from sandbox.world import Options, World
from tests.prompt import PromptServer

STRIPE_SECRET = "whsec_configured_by_the_test"
RAZORPAY_SECRET = "razorpay webhook secret of the test"
#: What signed webhooks before the last rotation.
OLD_STRIPE_SECRET = "whsec_before_the_rotation"
OLD_RAZORPAY_SECRET = "razorpay webhook secret before the rotation"
STRIPE_KEY = "sk_test_sandbox"
RAZORPAY_KEY = ("rzp_test_sandbox", "key secret of the test")

PAYS, DECLINED, NO_FUNDS, EXPIRED, ASKS = (
    "4242424242424242",
    "4000000000000002",
    "4000000000009995",
    "4000000000000069",
    "4000002500003155",
)

#: For calls in plain HTTP: reading whom the world trusts, as each client would, takes longer than the call.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

#: Nothing here takes longer than this, or it will never happen.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Delivery:
    """A webhook as it arrived, before anybody believed it."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Receiver:
    """Takes webhooks, answers as it is told, and keeps them in the order of arrival."""

    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    status: int = 200
    answer: bytes = b"ok"
    answer_after_seconds: float = 0
    on_delivery: Callable[[], object] | None = None

    def types(self) -> list[str]:
        """What arrived so far, as event types of either gateway."""
        return [str(event.get("type") or event.get("event")) for event in self.events()]

    def events(self) -> list[dict[str, Any]]:
        return [httpx.Response(200, content=delivery.body).json() for delivery in list(self.deliveries)]

    def wait_for(self, *types: str) -> list[Delivery]:
        """Everything that arrived, once these types have, each as often as it is named."""
        wait_until(lambda: all(self.types().count(kind) >= types.count(kind) for kind in types), self.types)
        return list(self.deliveries)


@dataclass
class Sandbox:
    """The stand-ins, from outside: their address, their controls, and the official SDKs pointed at them."""

    url: str

    @asynccontextmanager
    async def stripe(
        self, *, version: str | None = None, key: str = STRIPE_KEY, base: str = "/stripe"
    ) -> AsyncIterator[stripe.StripeClient]:
        """The asynchronous client, without retries of its own."""
        http = stripe.HTTPXClient(verify_ssl_certs=False)  # plain HTTP, see TRUSTS_NOBODY
        try:
            yield stripe.StripeClient(
                key,
                base_addresses={"api": f"{self.url}{base}"},
                http_client=http,
                max_network_retries=0,
                stripe_version=version,
            )
        finally:
            await http.close_async()  # type: ignore[no-untyped-call]

    @contextmanager
    def razorpay(self, *, key: tuple[str, str] = RAZORPAY_KEY, base: str = "/razorpay") -> Iterator[razorpay.Client]:
        client = razorpay.Client(auth=key, base_url=f"{self.url}{base}")
        try:
            yield client
        finally:
            client.session.close()

    def control(self, path: str, order: dict[str, Any]) -> dict[str, Any]:
        """An order that is carried out."""
        answer = httpx.post(
            f"{self.url}/_control/{path}", json=order, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, path: str, **query: str) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.url}/_control/{path}", params=query, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def pay(self, session: str, card: str = PAYS, **more: Any) -> dict[str, Any]:
        return self.control("pay", {"session": session, "card": card, **more})

    def objects(self, gateway: str, kind: str) -> list[dict[str, Any]]:
        return list(self.ask("objects", gateway=gateway, type=kind)["data"])

    def now(self) -> int:
        return int(self.ask("clock")["now"])

    def deliveries(self, **query: str) -> list[dict[str, Any]]:
        return list(self.ask("deliveries", **query)["data"])

    def settled(self) -> list[dict[str, Any]]:
        """All deliveries, once none is to be sent or on its way."""
        wait_until(lambda: not self.deliveries(state="pending"))
        return self.deliveries()

    def calls(self) -> list[dict[str, Any]]:
        """The log of calls, the newest last."""
        return list(self.ask("calls")["data"])

    def refused(self, path: str, order: Any) -> tuple[int, str, str]:
        """An order that is not carried out: status, code and the sentence."""
        answer = httpx.post(
            f"{self.url}/_control/{path}", json=order, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
        )
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        return answer.status_code, str(problem["code"]), str(problem["detail"])

    def customer(self) -> dict[str, Any]:
        """A customer at Stripe: one event, and nothing to pay."""
        return self.post_to_stripe("customers", email="a@b.test")

    def session(self) -> str:
        """A Checkout Session over 49 dollars."""
        fields = {
            "mode": "payment",
            "success_url": "https://shop.test",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": "4900",
            "line_items[0][price_data][product_data][name]": "Lifetime",
            "line_items[0][quantity]": "1",
        }
        return str(self.post_to_stripe("checkout/sessions", **fields)["id"])

    def link(self, reference: str = "order-1") -> str:
        """A payment link over 499 rupees."""
        with self.razorpay() as client:
            order = {"amount": 49900, "currency": "INR", "reference_id": reference}
            return str(client.payment_link.create(order)["id"])

    def post_to_stripe(self, path: str, **fields: str) -> dict[str, Any]:
        """A call that is answered, whatever goes wrong with its webhooks."""
        address = f"{self.url}/stripe/v1/{path}"
        answer = httpx.post(
            address, auth=(STRIPE_KEY, ""), data=fields, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def get_from_stripe(self, path: str, **query: str) -> dict[str, Any]:
        address = f"{self.url}/stripe/v1/{path}"
        answer = httpx.get(
            address, auth=(STRIPE_KEY, ""), params=query, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def wait_until(happened: Callable[[], bool], tell: Callable[[], object] = lambda: "") -> None:
    """Returns as soon as it happened; fails, and tells, when it does not."""
    begun = time.monotonic()
    while not happened():
        waited = time.monotonic() - begun
        assert waited < PATIENCE_SECONDS, tell()
        time.sleep(min(0.1, max(0.01, waited / 20)))


class _Server(PromptServer, server.Server):
    """The sandbox's, for the many tests that have one each."""


@contextmanager
def running_sandbox(
    data_dir: Path,
    *,
    port: int = 0,
    webhooks: str | None = None,
    has_old_secrets: bool = False,
    seed: int | None = None,
) -> Iterator[Sandbox]:
    """A sandbox in a thread of this process; with ``webhooks``, both gateways send there."""
    listening = server.bind(port)
    url = server.address(listening)
    options = Options(
        data_dir=data_dir,
        url=url,
        stripe_webhook_url=None if webhooks is None else f"{webhooks}/stripe",
        stripe_webhook_secret=STRIPE_SECRET,
        razorpay_webhook_url=None if webhooks is None else f"{webhooks}/razorpay",
        razorpay_webhook_secret=RAZORPAY_SECRET,
        stripe_old_webhook_secret=OLD_STRIPE_SECRET if has_old_secrets else None,
        razorpay_old_webhook_secret=OLD_RAZORPAY_SECRET if has_old_secrets else None,
        seed=seed,
    )
    serving = threading.Event()
    running: list[_Server] = []

    def serve() -> None:
        # Inside the thread: SQLite's connection and asyncio's loop belong to it.
        running.append(_Server(World(options), serving.set))
        running[0].run(sockets=[listening])

    thread = threading.Thread(target=serve)
    thread.start()
    assert serving.wait(PATIENCE_SECONDS), "the sandbox does not serve"
    try:
        yield Sandbox(url)
    finally:
        running[0].should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "the sandbox does not end"


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver of webhooks in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave as two small packets, which would otherwise wait for each other.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.deliveries.append(Delivery(self.path, headers, body, time.monotonic()))
            if receiver.on_delivery is not None:
                receiver.on_delivery()
            time.sleep(receiver.answer_after_seconds)
            self.send_response(receiver.status)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            """Tests read the deliveries."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        http.shutdown()
        thread.join(PATIENCE_SECONDS)
        http.server_close()
