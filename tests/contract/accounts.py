"""What the suite of clients knows of each gateway besides its client: its settings, its words, and its stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic_settings import BaseSettings

from gateways.calling import Line
from gateways.client import Client, Created, Refused, Session, SessionOrder
from gateways.clients import BUILDERS
from gateways.gateway import Json
from gateways.razorpay.settings import RazorpaySettings
from gateways.registry import GATEWAYS
from gateways.stripe.settings import StripeSettings
from payments.events import Event, Observed, PaymentSucceeded
from payments.money import Money
from tests.sandboxes import Sandbox

INSTANCE = "counterfoil"


@dataclass(frozen=True)
class Account:
    """``session_type`` is the gateway's own name of a hosted page, ``taken`` amounts in currencies of every kind;
    ``fee_per_10000`` is what its stand-in keeps, where it says so together with the payment."""

    name: str
    settings_type: type[BaseSettings]
    keys: dict[str, str]
    wrong_keys: dict[str, str]
    session_type: str
    price: Money
    taken: tuple[Money, ...]
    fee_per_10000: int | None = None

    def __str__(self) -> str:
        return self.name

    def build(self, url: str, *, keys: dict[str, str] | None = None, line: Line | None = None) -> Client:
        settings = self.settings_type.model_validate({**(keys or self.keys), f"{self.name.upper()}_API_BASE": url})
        client = BUILDERS[self.name](settings, line)
        assert client is not None
        return client

    def build_for(self, sandbox: Sandbox, *, keys: dict[str, str] | None = None, line: Line | None = None) -> Client:
        return self.build(f"{sandbox.url}/{self.name}", keys=keys, line=line)

    def sessions(self, sandbox: Sandbox) -> list[dict[str, Any]]:
        return sandbox.objects(self.name, self.session_type)

    def succeeded(self, payment_id: str, paid: Money | None = None) -> PaymentSucceeded:
        """As this gateway tells it."""
        paid = paid or self.price
        fee = None if self.fee_per_10000 is None else Money(paid.minor * self.fee_per_10000 // 10000, paid.currency)
        return PaymentSucceeded(payment_id, paid, fee)

    def told(self, sandbox: Sandbox) -> list[Observed]:
        """What the gateway's webhooks have said so far, in our words."""
        return list(self._translations(sandbox))

    def _translations(self, sandbox: Sandbox) -> Iterator[Observed]:
        for event in sandbox.objects(self.name, "event"):
            said = GATEWAYS[self.name].translate(event)
            if isinstance(said, Observed):
                yield said


STRIPE = Account(
    name="stripe",
    settings_type=StripeSettings,
    keys={"STRIPE_SECRET_KEY": "sk_test_counterfoil"},
    wrong_keys={"STRIPE_SECRET_KEY": "sk_test_not-a-key"},
    session_type="checkout.session",
    price=Money(4900, "usd"),
    taken=(Money(500, "jpy"), Money(5010, "kwd"), Money(130000, "isk"), Money(400000, "ugx")),
)
RAZORPAY = Account(
    name="razorpay",
    settings_type=RazorpaySettings,
    keys={"RAZORPAY_KEY_ID": "rzp_test_counterfoil", "RAZORPAY_KEY_SECRET": "secret"},
    wrong_keys={"RAZORPAY_KEY_ID": "rzp_test_not-a-key", "RAZORPAY_KEY_SECRET": "secret"},
    session_type="payment_link",
    price=Money(49900, "inr"),
    taken=(Money(500, "jpy"), Money(295990, "kwd"), Money(1300, "isk"), Money(4000, "ugx")),
    fee_per_10000=236,
)
ACCOUNTS = (STRIPE, RAZORPAY)


def order(account: Account, sandbox: Sandbox, **changes: Any) -> SessionOrder:
    """An order of a user who has just pressed the button, by the sandbox's clock."""
    expires_at = datetime.fromtimestamp(sandbox.now(), UTC) + timedelta(minutes=31)
    asked: dict[str, Any] = {
        "order_id": str(uuid4()),
        "plan_id": "lifetime",
        "plan_name": "Lifetime access",
        "description": "Everything, for good",
        "expected": account.price,
        "success_url": "https://shop.example/payment/success?order=1&token=t",
        "cancel_url": "https://shop.example/payment/cancel",
        "expires_at": expires_at,
        "instance_id": INSTANCE,
        "email": "ada@example.com",
        **changes,
    }
    return SessionOrder(**asked)


def freeze(client: Client, asked: SessionOrder) -> Json:
    frozen = client.freeze(asked)
    assert not isinstance(frozen, Refused), frozen
    return frozen


async def create(client: Client, frozen: Json, key: str = "key-1") -> Session:
    created = await client.create_session(frozen, key)
    assert isinstance(created, Created), created
    return created.session


def events(observed: tuple[Observed, ...]) -> list[Event]:
    return [each.event for each in observed]
