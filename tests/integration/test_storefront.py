"""The example shop on its own: what its backend answers, and what its pages say when the checkout refuses."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from playwright import async_api as playwright
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from examples.storefront.__main__ import values_from
from examples.storefront.app import BODY_BYTES, Values, build
from examples.storefront.mails import BYTES_MAX
from examples.storefront.notifications import Notifications, WrongSecret
from examples.storefront.sessions import Sessions
from sandbox.cards import TEST_CARDS
from tests.browsers import PATIENCE_MS, Browser, needs_chromium
from tests.integration.test_ingress_process import free_port, wait_for
from tests.processes import ROOT
from tests.prompt import PromptServer
from tests.waiting import until
from workers.delivery.notifications import signers
from workers.delivery.sender import WrongSetting

ANNA, BEN = "anna@example.com", "ben@example.com"

SECRET = "a secret that the checkout knows too"
NOTIFY_SECRET = "whsec_" + base64.b64encode(b"notifications are signed").decode()

PLANS = [
    {
        "id": "lifetime",
        "name": "Lifetime",
        "description": "For good.",
        "priceCents": 4900,
        "currency": "jpy",
        "interval": None,
        "trialDays": 0,
        "gateways": ["stripe"],
    }
]


ORDER = {
    "planId": "lifetime",
    "planName": "Lifetime",
    "amount": 4900,
    "amountRefunded": 0,
    "currency": "jpy",
    "gateway": "stripe",
    "createdAt": "2026-11-22T12:00:00+00:00",
}


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """A real server on a free port; its address."""
    server = PromptServer(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@dataclass
class FakeCheckout:
    """Answers in the words of the contract: ``answers`` to create-payment, one after the other, then a page.

    A key that it knows leads to its order, and whatever else it is asked makes another. ``status`` and ``failure`` are
    those of every order. ``held``: whose calls are answered only then; ``waiting``: which have come, by whose and where
    to. ``refusing``: whose calls are refused, and with what.
    """

    answers: list[Response] = field(default_factory=list)
    asked: list[tuple[str | None, bytes]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    status: str = "pending"
    failure: dict[str, str] | None = None
    plans: Any = field(default_factory=lambda: PLANS)
    made: list[dict[str, Any]] = field(default_factory=list)
    rights: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    refusing: dict[str, int] = field(default_factory=dict)

    def app(self) -> Starlette:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Retry-After"],
        )
        return Starlette(
            routes=[
                Route("/plans", self.list_plans),
                Route("/create-payment", self.create_payment, methods=["POST"]),
                Route("/order-status/{id}", self.show_status),
                Route("/orders", self.list_orders),
                Route("/access", self.list_access),
                Route("/subscriptions", self.list_nothing),
                Route("/invoices", self.list_nothing),
                Route("/hosted", self.show_page),
            ],
            middleware=[cors],
        )

    async def list_plans(self, request: Request) -> Response:
        self.callers.append(caller_of(request))
        return JSONResponse(self.plans) if self.plans is not None else problem(503, "unavailable")

    async def create_payment(self, request: Request) -> Response:
        self.asked.append((request.headers.get("Idempotency-Key"), await request.body()))
        await self.hold(request)
        if self.answers:
            return self.answers.pop(0)
        key = request.headers.get("Idempotency-Key")
        order = next((one for one in self.made if key and one["key"] == key), None)
        order = order or self.make(caller_of(request), key)
        url = str(request.url_for("show_page"))
        return JSONResponse({"orderId": order["orderId"], "url": url, "status": "pending"}, 201)

    def make(self, user: str, key: str | None) -> dict[str, Any]:
        self.made.append({"orderId": f"o-{len(self.made) + 1}", "user": user, "key": key})
        return self.made[-1]

    async def show_status(self, request: Request) -> Response:
        return JSONResponse({"orderId": request.path_params["id"], "status": self.status})

    async def list_orders(self, request: Request) -> Response:
        shown = {**ORDER, "status": self.status, **({"failure": self.failure} if self.failure else {})}
        user = caller_of(request)
        rows = [{"orderId": order["orderId"], **shown} for order in self.made if order["user"] == user]
        return await self.answer(request, {"data": rows, "nextCursor": None})

    async def list_access(self, request: Request) -> Response:
        return await self.answer(request, self.rights.get(caller_of(request), []))

    async def list_nothing(self, request: Request) -> Response:
        return await self.answer(request, {"data": [], "nextCursor": None})

    async def answer(self, request: Request, told: Any) -> Response:
        await self.hold(request)
        status = self.refusing.get(caller_of(request))
        return problem(status, "unavailable") if status else JSONResponse(told)

    async def hold(self, request: Request) -> None:
        if event := self.held.get(caller_of(request)):
            self.waiting.append((caller_of(request), request.url.path))
            await asyncio.wait_for(event.wait(), 30)

    async def until_held(self, user: str, path: str) -> None:
        """A page that is left before it has asked is never answered."""

        async def is_held() -> bool:
            return (user, path) in self.waiting

        await until(is_held)

    async def show_page(self, _: Request) -> Response:
        return PlainTextResponse("the gateway's page")


def caller_of(request: Request) -> str:
    return named_in(request.headers["Authorization"])


def named_in(authorization: str) -> str:
    token = authorization.removeprefix("Bearer ")
    return str(jwt.decode(token, SECRET, algorithms=["HS256"])["sub"])


def problem(status: int, code: str, *, retry_after: int | None = None, **more: Any) -> Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    document = {"status": status, "code": code, **more}
    return JSONResponse(document, status, headers, media_type="application/problem+json")


@asynccontextmanager
async def shop(checkout: FakeCheckout | None = None, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The shop, listening, beside a checkout that answers as it is told."""
    async with served((checkout or FakeCheckout()).app()) as checkout_url:
        values = Values(**{"checkout_url": checkout_url, "sessions": Sessions(SECRET), **more})
        async with served(build(values)) as url, httpx.AsyncClient(base_url=url, timeout=10) as http:
            yield http


async def signed_in(http: httpx.AsyncClient, email: str = "anna@example.com") -> dict[str, str]:
    answer = await http.post("/session", json={"email": email})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, str(answer.json()["code"])


# --- its pages ---


async def test_its_pages_load_what_is_theirs_and_call_the_checkout_alone() -> None:
    async with shop(checkout_url="http://127.0.0.1:8001/below") as http:
        answers = [await http.get(path) for path in ("/", "/account", "/static/shop.js")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "connect-src 'self' http://127.0.0.1:8001;" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_it_has_one_origin_and_answers_no_name_that_a_stranger_pointed_here() -> None:
    async with shop() as http:
        port = http.base_url.port
        other = await http.get("/account", headers={"Host": f"localhost:{port}"})
        stranger = await http.get("/", headers={"Host": "shop.example"})

    assert other.headers["Location"] == f"http://127.0.0.1:{port}/account"
    assert stranger.status_code == 400


async def test_it_shows_the_cards_that_the_sandbox_takes() -> None:
    async with shop() as http:
        page = (await http.get("/")).text

    shown = re.findall(r"<tr><td><code>([\d ]+)</code></td><td>(.+?)</td></tr>", page)
    assert shown == list(TEST_CARDS)


# --- signing in ---


async def test_a_demo_user_gets_a_token_that_names_them_and_ends() -> None:
    async with shop() as http:
        answer = await http.post("/session", json={"email": " Anna@example.com "})

    claims = jwt.decode(answer.json()["token"], SECRET, algorithms=["HS256"], options={"require": ["exp"]})
    assert answer.status_code == 201
    assert (claims["sub"], claims["email"]) == ("anna@example.com", "anna@example.com")
    assert 0 < claims["exp"] - time.time() <= 24 * 3600


async def test_a_token_names_the_audience_and_the_issuer_that_the_checkout_wants() -> None:
    async with shop(sessions=Sessions(SECRET, "counterfoil", "quillwork")) as http:
        headers = await signed_in(http)
        mails = await http.get("/mails", headers=headers)

    claims = jwt.decode(headers["Authorization"][7:], SECRET, algorithms=["HS256"], audience="counterfoil")
    assert claims["iss"] == "quillwork"
    assert mails.status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"email": "anna@elsewhere.example"}', "invalid_email"),
        (b'{"email": "@example.com"}', "invalid_email"),
        (b'{"email": "anna@example.com\\r\\nBcc: x@example.com"}', "invalid_email"),
        (b'{"email": null}', "invalid_email"),
        (b"{}", "invalid_email"),
        (b"[]", "malformed_body"),
        (b"\xff\xfe", "malformed_body"),
        (b"[" * 50_000, "malformed_body"),
        (b"", "malformed_body"),
    ],
)
async def test_nobody_else_is_signed_in(body: bytes, code: str) -> None:
    async with shop() as http:
        answer = await http.post("/session", content=body)

    assert refusal(answer) == (400, code)


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    async with shop() as http:
        answer = await http.post("/session", content=b"x" * (BODY_BYTES + 1))

    assert refusal(answer) == (413, "body_too_large")


async def test_without_the_secret_it_serves_and_says_that_nobody_can_sign_in() -> None:
    async with shop(sessions=None) as http:
        answers = [await http.post("/session", json={"email": "anna@example.com"}), await http.get("/catalogue")]
        page = await http.get("/")

    assert [refusal(answer) for answer in answers] == [(503, "no_sessions")] * 2
    assert page.status_code == 200


def test_the_secret_shows_in_no_repr() -> None:
    values = Values("http://127.0.0.1:8001", Sessions(SECRET), notifications=Notifications.of(NOTIFY_SECRET))

    assert SECRET not in repr(values)
    assert NOTIFY_SECRET not in repr(values)


# --- what is for sale ---


async def test_visitors_see_the_plans_for_which_the_shop_asks_in_its_own_name() -> None:
    checkout = FakeCheckout()
    async with shop(checkout) as http:
        answer = await http.get("/catalogue")

    assert answer.json() == PLANS
    assert checkout.callers == ["storefront"]


async def test_a_checkout_that_is_away_is_told_of() -> None:
    async with shop(FakeCheckout(plans=None)) as refusing, shop(checkout_url="http://127.0.0.1:1") as alone:
        answers = [await refusing.get("/catalogue"), await alone.get("/catalogue")]

    assert [refusal(answer) for answer in answers] == [(503, "unavailable")] * 2


# --- mails ---


def drop_mail(outbox: Path, name: str, to: str, *, subject: str = "Payment received", age: int = 0) -> Path:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "Shop <shop@example.com>", to, subject
    letter["Date"] = datetime(2026, 11, 22, 12, tzinfo=UTC)
    letter.set_content("Thank you <b>very</b> much.")
    letter.add_alternative("<script>alert(1)</script>", subtype="html")
    path = outbox / f"mail.{name}.eml"
    path.write_bytes(bytes(letter))
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


async def test_a_user_sees_their_own_mails_newest_first_and_as_text(tmp_path: Path) -> None:
    drop_mail(tmp_path, "old", "anna@example.com", subject="First", age=60)
    drop_mail(tmp_path, "new", "Anna <Anna@Example.com>", subject="Zweite: Grüße")
    drop_mail(tmp_path, "other", "ben@example.com")
    drop_mail(tmp_path, "long", "anna@example.com").write_bytes(b"To: anna@example.com\r\n\r\n" + b"x" * BYTES_MAX)
    (tmp_path / "mail.broken.eml").write_bytes(b"\x00\xff not a mail")
    (tmp_path / "notify.payment.json").write_text("{}", encoding="utf-8")

    async with shop(outbox=tmp_path) as http:
        mails = (await http.get("/mails", headers=await signed_in(http))).json()

    assert [mail["subject"] for mail in mails] == ["Zweite: Grüße", "First"]
    assert mails[0]["text"] == "Thank you <b>very</b> much.\n"
    assert mails[0]["sentAt"] == "2026-11-22T12:00:00+00:00"
    assert "script" not in json.dumps(mails)


async def test_before_the_first_mail_there_is_no_folder_and_no_mail(tmp_path: Path) -> None:
    async with shop(outbox=tmp_path / "outbox") as http:
        mails = await http.get("/mails", headers=await signed_in(http))

    assert (mails.status_code, mails.json()) == (200, [])


@pytest.mark.parametrize("path", ["/mails", "/notifications"])
@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        jwt.encode({"sub": "anna@example.com", "email": "anna@example.com", "exp": 1}, SECRET, algorithm="HS256"),
        jwt.encode({"sub": "a", "email": "anna@example.com", "exp": 2**33}, "x" * 32, algorithm="HS256"),
        jwt.encode({"sub": "a", "email": "anna@example.com", "exp": 2**33}, "", algorithm="none"),
        jwt.encode({"sub": "a", "exp": 2**33}, SECRET, algorithm="HS256"),
    ],
    ids=["none", "nonsense", "expired", "another's", "unsigned", "nobody's"],
)
async def test_who_is_not_signed_in_sees_nothing(path: str, token: str) -> None:
    async with shop() as http:
        answer = await http.get(path, headers={"Authorization": f"Bearer {token}".strip()})

    assert refusal(answer) == (401, "unauthenticated")


# --- notifications ---


def signed(body: str, secret: str = NOTIFY_SECRET, *, name: str = "msg_1") -> dict[str, Any]:
    now = datetime.now(UTC)
    headers = {"webhook-id": name, "webhook-timestamp": str(int(now.timestamp()))}
    return {"content": body, "headers": {**headers, "webhook-signature": Webhook(secret).sign(name, now, body)}}


NOTICE = json.dumps(
    {
        "id": "msg_1",
        "type": "payment.completed",
        "createdAt": "2026-11-22T12:00:00+00:00",
        "data": {"userId": ANNA, "orderId": "o-1"},
    }
)


async def test_what_counterfoil_signed_is_remembered_once_and_shown_to_whom_it_concerns() -> None:
    async with shop(notifications=Notifications.of(f"whsec_b2xk,{NOTIFY_SECRET}")) as http:
        answers = [await http.post("/notifications", **signed(NOTICE)) for _ in range(2)]
        annas = (await http.get("/notifications", headers=await signed_in(http))).json()
        bens = (await http.get("/notifications", headers=await signed_in(http, "ben@example.com"))).json()

    assert [answer.status_code for answer in answers] == [204, 204]
    assert [notice["id"] for notice in annas] == ["msg_1"]
    assert bens == []


@pytest.mark.parametrize("secrets", ["", NOTIFY_SECRET])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(NOTICE, "whsec_" + base64.b64encode(b"another's").decode())["headers"],
        {**signed(NOTICE)["headers"], "webhook-signature": "v1,!"},
        {**signed(NOTICE)["headers"], "webhook-signature": "v1"},
        {**signed(NOTICE)["headers"], "webhook-timestamp": "1"},
        {**signed(NOTICE)["headers"], "webhook-timestamp": "1e400"},
    ],
    ids=["unsigned", "another's", "no base64", "no comma", "old", "no time"],
)
async def test_what_somebody_else_says_is_not_heard(secrets: str, headers: dict[str, str]) -> None:
    async with shop(notifications=Notifications.of(secrets)) as http:
        answer = await http.post("/notifications", content=NOTICE, headers=headers)
        heard = await http.get("/notifications", headers=await signed_in(http))

    assert refusal(answer) == (400, "bad_signature")
    assert heard.json() == []


#: In development the workers take every length; what is no base64 they never take.
WRONG_SECRETS = [
    "whsec_",
    "whsec_!!!",
    "whsec_A",
    "---",
    "my secret words",
    "whsec_-_-_",
    "A" * 40 + "!!!!",
    "AAAA=BBBB",
]


@pytest.mark.parametrize("secret", [*WRONG_SECRETS, "whsec_ключ", f"{NOTIFY_SECRET},whsec_!!!"])
def test_a_secret_that_is_no_base64_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(WrongSecret, match="NOTIFY_SECRET must be whsec_ and the base64") as wrong:
        Notifications.of(secret)

    assert not secret.removeprefix("whsec_") or secret not in str(wrong.value)


@pytest.mark.parametrize(
    "secret", [NOTIFY_SECRET, NOTIFY_SECRET.removeprefix("whsec_"), "whsec_b2xk", "whsec_QQ", "QQ=="]
)
def test_what_the_workers_sign_with_a_secret_the_shop_hears(secret: str) -> None:
    [signer] = signers([secret], production=False)
    now = datetime.now(UTC)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp()))}
    shop = Notifications.of(f" {secret} ,")

    is_heard = shop.hear(NOTICE.encode(), {**headers, "webhook-signature": signer.sign("msg_1", now, NOTICE)})

    assert is_heard


@pytest.mark.parametrize("secret", WRONG_SECRETS)
def test_what_the_shop_refuses_as_a_secret_the_workers_refuse(secret: str) -> None:
    with pytest.raises(WrongSetting):
        signers([secret], production=False)


# --- the process ---


def storefront(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.storefront"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_production_is_refused() -> None:
    said, _ = storefront(APP_ENV="production").communicate(timeout=30)

    assert said == b"storefront: APP_ENV is production, and here anybody may sign in as anybody.\n"


@pytest.mark.parametrize("secret", ["whsec_!!!", f"{NOTIFY_SECRET},whsec_A"])
def test_a_wrong_secret_stops_the_start_with_one_sentence(secret: str) -> None:
    process = storefront(NOTIFY_SECRET=secret, PORT=str(free_port()))
    try:
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()

    assert process.returncode == 2
    assert re.fullmatch(rb"storefront: NOTIFY_SECRET must be [^\n]+\.\n", said)


@pytest.mark.parametrize("end", ["", "/", "//"])
async def test_the_address_of_the_checkout_may_end_with_a_slash(end: str) -> None:
    values = values_from({"APP_URL": f"http://127.0.0.1:8001{end}", "AUTH_JWT_SECRET": SECRET})

    async with served(build(values)) as url, httpx.AsyncClient(base_url=url) as http:
        config = await http.get("/config")

    assert config.json()["checkout"] == "http://127.0.0.1:8001"


def test_it_starts_with_nothing_there_says_nothing_and_stops_when_told() -> None:
    port = free_port()
    process = storefront(PORT=str(port), AUTH_JWT_SECRET=SECRET)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", 200)
        catalogue = httpx.get(f"http://127.0.0.1:{port}/catalogue")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()

    assert catalogue.status_code == 503
    assert said == b""


# --- what its pages say when the checkout refuses ---


playwright.expect.set_options(timeout=PATIENCE_MS)
expect = playwright.expect


@asynccontextmanager
async def browsing_shop(browser: Browser, checkout: FakeCheckout, **more: Any) -> AsyncIterator[Any]:
    """A page of the shop in Chromium, with Anna signed in."""
    async with (
        shop(checkout, **more) as http,
        await browser.new_context(base_url=str(http.base_url)) as context,
    ):
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        await page.goto("/")
        await sign_in(page, ANNA)
        yield page


async def sign_in(page: Any, email: str) -> None:
    await page.get_by_role("button", name="Sign in").first.click()
    await page.get_by_role("button", name=email).click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


def call_of(user: str, path: str) -> Callable[[Any], bool]:
    """Which of the page's calls is meant: two users' of one path may be under way."""
    return lambda call: call.url.endswith(path) and named_in(call.headers.get("authorization", "")) == user


async def change_user(page: Any, email: str) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await sign_in(page, email)


async def look_into_account(page: Any) -> Any:
    """Another tab of the same browser."""
    tab = await page.context.new_page()
    await tab.goto("/account")
    return tab


async def buy(page: Any) -> None:
    await page.get_by_role("button", name="Buy", exact=True).click()


async def is_at_the_gateway(page: Any) -> None:
    await expect(page.get_by_text("the gateway's page")).to_be_visible(timeout=PATIENCE_MS)


@needs_chromium
async def test_every_refusal_is_shown_in_words_and_the_same_wish_goes_on_under_its_key(browser: Browser) -> None:
    refusals = {
        "You have been signed out": problem(401, "invalid_token"),
        "many attempts in a short time. Please try again in 15 minutes": problem(429, "x", retry_after=900),
        "Your order is kept, and nothing was charged": problem(502, "gateway_refused", orderId="o-1"),
        "trying again cannot charge you twice": problem(504, "gateway_unknown", orderId="o-1"),
        "The shop cannot answer at the moment": problem(503, "unavailable", retry_after=10),
    }
    checkout = FakeCheckout(list(refusals.values()))
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        for words in refusals:
            notice = page.get_by_role("alert")
            await expect(notice).to_contain_text(words)
            await expect(page.get_by_role("button", name="Buy", exact=True)).to_be_enabled()
            if words == "You have been signed out":
                await notice.get_by_role("button", name="Sign in").click()
                await page.get_by_role("button", name="anna@example.com").click()
            else:
                await notice.get_by_role("button", name="Try again").click()
        await is_at_the_gateway(page)

    assert len(checkout.asked) == 6
    assert len(set(checkout.asked)) == 1, "one key and one body, byte for byte"


@needs_chromium
@pytest.mark.parametrize("code", ["order_over", "key_reused"])
async def test_a_key_that_can_open_no_page_any_more_is_not_used_again(code: str, browser: Browser) -> None:
    checkout = FakeCheckout([problem(409, code)])
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await page.get_by_role("alert").get_by_role("button", name="Try again").click()
        await is_at_the_gateway(page)

    first, second = [key for key, _ in checkout.asked]
    assert first != second


@needs_chromium
async def test_a_click_that_is_still_worked_on_is_waited_for_without_a_word(browser: Browser) -> None:
    checkout = FakeCheckout([problem(409, "key_in_use", retry_after=1)])
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)

    assert len(checkout.asked) == 2
    assert len(set(checkout.asked)) == 1


@needs_chromium
async def test_a_plan_that_was_taken_off_sale_is_told_and_the_window_can_be_loaded_anew(browser: Browser) -> None:
    async with browsing_shop(browser, FakeCheckout([problem(400, "invalid_plan")])) as page:
        await buy(page)
        await expect(page.get_by_role("alert")).to_contain_text("cannot be bought any more")
        await page.get_by_role("button", name="Load anew").click()

        await expect(page.get_by_role("alert")).to_have_count(0)


@needs_chromium
@pytest.mark.parametrize(("status", "keys"), [("pending", 1), ("paid", 2), ("cancelled", 2)])
async def test_a_key_lives_as_long_as_its_order_can_be_paid(status: str, keys: int, browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        checkout.status = status
        await page.go_back()
        await buy(page)
        await is_at_the_gateway(page)

    assert len(checkout.asked) == 2
    assert len({key for key, _ in checkout.asked}) == keys


@needs_chromium
async def test_a_price_has_the_decimals_of_its_currency(browser: Browser) -> None:
    async with browsing_shop(browser, FakeCheckout()) as page:
        await expect(page.locator("form[data-plan=lifetime]")).to_contain_text("¥4,900 paid once")


@needs_chromium
async def test_a_shop_whose_checkout_is_away_says_so_and_shows_its_plans_when_it_is_back(browser: Browser) -> None:
    checkout = FakeCheckout(plans=None)
    async with browsing_shop(browser, checkout) as page:
        await expect(page.get_by_role("alert")).to_contain_text("cannot answer at the moment")
        checkout.plans = PLANS
        await page.get_by_role("button", name="Try again").click()

        await expect(page.get_by_role("heading", name="Lifetime")).to_be_visible()


# --- coming back to an order ---


KEYS = "Object.keys(localStorage).filter((name) => name.startsWith('quillwork.key'))"


@needs_chromium
async def test_another_tab_goes_on_with_the_page_of_the_same_order_under_its_key(browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        tab = await look_into_account(page)
        await tab.get_by_role("button", name="Continue paying").click()
        await is_at_the_gateway(tab)

    assert len(checkout.made) == 1
    assert len(checkout.asked) == 2
    assert len(set(checkout.asked)) == 1, "one key and one body, byte for byte"


@needs_chromium
async def test_an_order_that_was_kept_without_a_page_can_be_gone_on_with_in_another_tab(browser: Browser) -> None:
    checkout = FakeCheckout([problem(504, "gateway_unknown", orderId="o-1")])
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await expect(page.get_by_role("alert")).to_contain_text("Your order is kept")
        checkout.make(ANNA, checkout.asked[0][0])
        tab = await look_into_account(page)
        await tab.get_by_role("button", name="Continue paying").click()
        await is_at_the_gateway(tab)

    assert len(checkout.made) == 1


@needs_chromium
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (None, "This payment is being looked into"),
        (
            {"code": "card_declined", "message": "The bank declined it.", "action": "contact_bank"},
            "declined it. This pay",
        ),
        ({"code": "unknown", "message": "Please do not pay again.", "action": "wait"}, "Please do not pay again."),
    ],
    ids=["no failure", "declined", "unknown"],
)
async def test_an_order_whose_key_is_not_here_has_no_button_that_pays_until_it_has_ended(
    failure: dict[str, str] | None, words: str, browser: Browser
) -> None:
    checkout = FakeCheckout(failure=failure)
    checkout.make(ANNA, "a key of another browser")
    async with browsing_shop(browser, checkout) as page:
        tab = await look_into_account(page)
        order = tab.locator("[data-order=o-1]")
        await expect(order).to_contain_text("Being looked into")
        await expect(order).to_contain_text(words)
        await expect(order.get_by_role("button")).to_have_count(0)
        checkout.status, checkout.failure = "cancelled", None

        await expect(order.get_by_role("button", name="Buy after all")).to_be_visible()

    assert checkout.asked == []


@needs_chromium
async def test_the_page_of_another_order_is_never_opened(browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        checkout.made[0]["key"] = None
        tab = await look_into_account(page)
        await tab.get_by_role("button", name="Continue paying").click()

        await expect(tab.locator("[data-order=o-1]")).to_contain_text("cannot be opened from here")
        await expect(tab.locator("[data-order]").get_by_role("button")).to_have_count(0)
        assert tab.url.endswith("/account")
        assert await tab.evaluate(KEYS) == []


@needs_chromium
async def test_a_key_is_kept_until_its_order_has_ended(browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        tab = await look_into_account(page)
        await expect(tab.get_by_text("Payment pending")).to_be_visible()
        before = await tab.evaluate(KEYS)
        checkout.status = "paid"
        await expect(tab.get_by_text("Paid", exact=True)).to_be_visible()
        after = await tab.evaluate(KEYS)

    assert before == [f'quillwork.key ["{ANNA}","o-1"]']
    assert after == []


@needs_chromium
async def test_a_key_that_was_dropped_after_its_button_was_shown_makes_no_order(browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        tab = await look_into_account(page)
        button = tab.get_by_role("button", name="Continue paying")
        await button.evaluate(
            f"(button) => {{ {KEYS}.forEach((name) => localStorage.removeItem(name)); button.click(); }}"
        )

        await expect(tab.locator("[data-order=o-1]")).to_contain_text("cannot be opened from here")

    assert len(checkout.made) == 1


@needs_chromium
@pytest.mark.parametrize("answers", [[("key_in_use", 1)], []], ids=["come again", "its page"])
async def test_what_one_user_asked_for_is_neither_asked_again_nor_opened_as_another(
    answers: list[tuple[str, int]], browser: Browser
) -> None:
    checkout = FakeCheckout([problem(409, code, retry_after=seconds) for code, seconds in answers])
    checkout.held[ANNA] = asyncio.Event()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await checkout.until_held(ANNA, "/create-payment")
        await change_user(await look_into_account(page), BEN)
        checkout.held[ANNA].set()

        await expect(page.get_by_role("alert")).to_contain_text("You have been signed out")
    assert len(checkout.asked) == 1


@needs_chromium
async def test_a_page_that_was_asked_for_as_one_user_does_not_open_for_the_next(browser: Browser) -> None:
    checkout = FakeCheckout()
    async with browsing_shop(browser, checkout) as page:
        await buy(page)
        await is_at_the_gateway(page)
        tab = await look_into_account(page)
        await expect(tab.get_by_role("button", name="Continue paying")).to_be_visible()
        checkout.held[ANNA] = asyncio.Event()
        async with tab.expect_event("requestfinished", lambda request: request.url.endswith("/create-payment")):
            await tab.get_by_role("button", name="Continue paying").click()
            await checkout.until_held(ANNA, "/create-payment")
            await change_user(tab, BEN)
            checkout.held[ANNA].set()

        await expect(tab.get_by_text("No orders yet.")).to_be_visible()
        assert tab.url.endswith("/account")


# --- one browser, two users ---


PARTS = ["access", "orders", "mails", "notifications"]


async def parts(page: Any) -> list[str]:
    """What the account shows, seen or hidden."""
    return [await page.locator(f"[data-{part}]").text_content() for part in PARTS]


@needs_chromium
async def test_nothing_of_one_user_is_left_for_the_next_whose_calls_fail(tmp_path: Path, browser: Browser) -> None:
    owned = [{"planId": "lifetime", "active": True, "until": None, "reason": "paid"}]
    checkout = FakeCheckout(rights={ANNA: owned}, refusing={BEN: 503})
    checkout.make(ANNA, "a key of another browser")
    drop_mail(tmp_path, "annas", ANNA)
    told = Notifications.of(NOTIFY_SECRET)
    told.hear(NOTICE.encode(), signed(NOTICE)["headers"])
    async with browsing_shop(browser, checkout, outbox=tmp_path, notifications=told) as page:
        here, beside = await look_into_account(page), await look_into_account(page)
        for tab in (here, beside):
            for part, words in zip(PARTS, ("Lifetime", "o-1", "Payment received", "payment.completed"), strict=True):
                await expect(tab.locator(f"[data-{part}]")).to_contain_text(words)

        await here.get_by_role("button", name="Sign out").click()
        await expect(here.get_by_text("Sign in to see what you bought")).to_be_visible()
        nobodys = await parts(here)
        await sign_in(here, BEN)
        for tab in (here, beside):
            await expect(tab.get_by_role("alert")).to_contain_text("The shop cannot answer at the moment")
        bens = [await parts(here), await parts(beside)]
        await expect(beside.get_by_text("What Counterfoil told the shop")).to_be_hidden()

    assert nobodys == [""] * 4
    assert bens == [[""] * 4] * 2


@needs_chromium
async def test_a_late_answer_about_one_user_is_not_the_next_ones(browser: Browser) -> None:
    owned = [{"planId": "lifetime", "active": True, "until": None, "reason": "paid"}]
    checkout = FakeCheckout(rights={ANNA: owned})
    async with browsing_shop(browser, checkout) as page:
        await expect(page.get_by_text("Yours already")).to_be_visible()
        checkout.held[ANNA] = asyncio.Event()
        await page.reload()
        await checkout.until_held(ANNA, "/access")
        await change_user(page, BEN)
        async with page.expect_event("requestfinished", call_of(ANNA, "/access")):
            checkout.held[ANNA].set()
        await page.evaluate("new Promise((done) => setTimeout(done))")

        await expect(page.get_by_text("Yours already")).to_be_hidden()


@needs_chromium
async def test_a_late_refusal_of_one_users_token_does_not_sign_the_next_one_out(browser: Browser) -> None:
    checkout = FakeCheckout(held={ANNA: asyncio.Event()}, refusing={ANNA: 401})
    async with browsing_shop(browser, checkout) as page:
        await checkout.until_held(ANNA, "/access")
        await change_user(page, BEN)
        async with page.expect_event("requestfinished", call_of(ANNA, "/access")):
            checkout.held[ANNA].set()
        await page.evaluate("new Promise((done) => setTimeout(done))")

        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        assert await page.evaluate("JSON.parse(localStorage.getItem('quillwork.session')).email") == BEN


@needs_chromium
async def test_a_token_that_is_not_taken_any_longer_is_forgotten(browser: Browser) -> None:
    async with browsing_shop(browser, FakeCheckout(refusing={ANNA: 401})) as page:
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()

        assert await page.evaluate("localStorage.getItem('quillwork.session')") is None
