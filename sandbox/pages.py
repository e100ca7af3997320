"""The hosted pages: what a customer sees at the gateway, from the card form to the way back.

Each page is one answer that loads nothing else. Its script is for comfort: without it the same forms do the same.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sandbox import card_numbers, wire
from sandbox.cards import TEST_CARDS, Authenticate

#: The seller's name on every page, since no call tells it to a gateway: the account has it, and here is one account.
MERCHANT = "Sandbox shop"

FORM_FIELDS_MAX = 20
_SEE_OTHER = 303
_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "static" / "pages.css").read_text("utf-8")
_SCRIPT = (_FOLDER / "static" / "pages.js").read_text("utf-8")


def _allowed(text: str) -> str:
    """What names this very text in a policy, and no other that somebody may slip in."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


#: Forms may lead anywhere, since paying ends at the shop's own address; everything else stays at home.
_POLICY = "; ".join(
    (
        *("default-src 'none'", f"style-src {_allowed(_STYLE)}", f"script-src {_allowed(_SCRIPT)}", "img-src data:"),
        *("base-uri 'none'", "frame-ancestors 'none'"),
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_templates = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {
    "style": Markup(_STYLE),  # noqa: S704 - our own files, and escaped they would not be what the policy names
    "script": Markup(_SCRIPT),  # noqa: S704
    "merchant": MERCHANT,
    "test_cards": TEST_CARDS,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is bought, or that is said about it."""

    name: str
    price: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is to be paid: the part that stays the same from the form to the end."""

    gateway: str
    heading: str
    amount: str
    lines: tuple[Line, ...]
    total: str = ""
    per: str = ""
    back_url: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """A page with nothing more to fill in; ``mood`` is its sign: good, bad, or quiet."""

    title: str
    said: str
    mood: str = "quiet"
    onward_url: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a form says when it is shown again: of the last attempt, or of what was typed, by the name of its field.

    ``kept`` is what the customer need not type again: never anything of a card. ``bank_url`` is where an answer is due.
    """

    declined: str | None = None
    mistakes: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    bank_url: str | None = None


def show(template: str, status: int = 200, **values: object) -> Response:
    """A page."""
    return HTMLResponse(_templates.get_template(template).render(values), status, _HEADERS)


def show_ending(summary: Summary, ending: Ending) -> Response:
    return show("over.html", summary=summary, ending=ending)


def show_bank(summary: Summary, address: str, last4: str | None) -> Response:
    """The customer's bank asks, between the form and the end."""
    return show("bank.html", summary=summary, address=address, last4=last4)


def show_missing() -> Response:
    said = "This address does not belong to any checkout. It may be incomplete, or the sandbox has begun anew since."
    return show("missing.html", 404, ending=Ending("There is nothing to pay here", said))


def go(url: str) -> Response:
    """Elsewhere, in a way that neither reload nor the back button repeats what was sent."""
    return RedirectResponse(url, _SEE_OTHER, _HEADERS)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; what cannot be read is an empty form."""
    try:
        body = await wire.read_body(request)
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=FORM_FIELDS_MAX))
    except (wire.TooLarge, ValueError):
        return {}


def keep(**typed: str) -> dict[str, str]:
    """What may be shown again of what was typed: never a card number, in whichever field it stands."""
    return {name: text for name, text in typed.items() if not card_numbers.are_in(text)}


def read_answer(form: dict[str, str]) -> Authenticate:
    """Which button of the bank's page was pressed."""
    return Authenticate.FAIL if form.get("answer") == "fail" else Authenticate.PASS


def has_left_bank(request: Request) -> bool:
    """The customer came back from the bank's page without an answer."""
    return request.query_params.get("bank") == "left"


def later_expiry(now: int) -> str:
    """A date to come, as the form writes it, for who does not want to think of one."""
    return f"12 / {(datetime.fromtimestamp(now, UTC).year + 3) % 100:02}"
