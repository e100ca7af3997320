"""The hosted pages: what a customer sees at the gateway, from the card form to the way back. No script at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sandbox import wire
from sandbox.cards import TEST_CARDS, Authenticate

FORM_FIELDS_MAX = 20
_SEE_OTHER = 303

#: Forms may lead anywhere, since paying ends at the shop's own address; everything else stays at home.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
)


def show(template: str, values: Mapping[str, object], status: int = 200) -> Response:
    """A page. What it does not name is simply not shown."""
    page = _templates.get_template(template).render(values, test_cards=TEST_CARDS)
    return HTMLResponse(page, status, _HEADERS)


def show_missing() -> Response:
    values = {
        "title": "Not found",
        "colour": "#4f566b",
        "heading": "Sandbox",
        "over": "There is nothing to pay here",
        "said": "This address does not belong to any checkout.",
        "mood": "bad",
    }
    return show("over.html", values, 404)


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


def read_answer(form: dict[str, str]) -> Authenticate:
    """Which button of the bank's page was pressed."""
    return Authenticate.FAIL if form.get("answer") == "fail" else Authenticate.PASS
