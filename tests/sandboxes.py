"""A sandbox to talk to and a receiver for its webhooks, both real servers on loopback, for tests of either side."""

from __future__ import annotations

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

STRIPE_SECRET = "whsec_configured_by_the_test"
RAZORPAY_SECRET = "razorpay webhook secret of the test"
STRIPE_KEY = "sk_test_sandbox"
RAZORPAY_KEY = ("rzp_test_sandbox", "key secret of the test")

PAYS, DECLINED, NO_FUNDS, EXPIRED, ASKS = (
    "4242424242424242",
    "4000000000000002",
    "4000000000009995",
    "4000000000000069",
    "4000002500003155",
)

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
    answer_after_seconds: float = 0

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
        http = stripe.HTTPXClient()
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
        answer = httpx.post(f"{self.url}/_control/{path}", json=order, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, path: str, **query: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/_control/{path}", params=query, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def pay(self, session: str, card: str = PAYS, **more: Any) -> dict[str, Any]:
        return self.control("pay", {"session": session, "card": card, **more})

    def objects(self, gateway: str, kind: str) -> list[dict[str, Any]]:
        return list(self.ask("objects", gateway=gateway, type=kind)["data"])

    def now(self) -> int:
        return int(self.ask("clock")["now"])

    def deliveries(self) -> list[dict[str, Any]]:
        return list(self.ask("deliveries")["data"])


def wait_until(happened: Callable[[], bool], tell: Callable[[], object] = lambda: "") -> None:
    """Returns as soon as it happened; fails, and tells, when it does not."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, tell()
        time.sleep(0.01)


@contextmanager
def running_sandbox(data_dir: Path, *, port: int = 0, webhooks: str | None = None) -> Iterator[Sandbox]:
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
    )
    serving = threading.Event()
    running: list[server.Server] = []

    def serve() -> None:
        # Inside the thread: SQLite's connection and asyncio's loop belong to it.
        running.append(server.Server(World(options), serving.set))
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
            time.sleep(receiver.answer_after_seconds)
            self.send_response(receiver.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

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
