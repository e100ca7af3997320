"""No secret and no card number reaches a line of the log, by whichever way it comes."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any, NoReturn
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import logs
from payments.secrecy import REDACTED


def redacted(**event: Any) -> dict[str, Any]:
    return dict(logs.redact(None, "info", event))


@pytest.mark.parametrize(
    "text",
    [
        "sk_live_51Habcdefghijk",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "rk_live_abc123",
        "pk_test_abc123",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw+/=",
        "rzp_live_abcdefgh",
        "rzp_test_1DP5mmOlF5G5ag",
        "Bearer abcdefgh.ijklmnop",
        "authorization: basic dXNlcjpwYXNzd29yZA==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl",
        "4242424242424242",
        "4000 0025 0000 3155",
        "4000-0000-0000-9995",
        "3782 822463 10005",
        "6304000000000000000",
        "ada.lovelace+tag@mail.example.org",
    ],
)
@pytest.mark.parametrize("around", ["{}", "before {} after", "key={},", '{{"k": "{}"}}'])
def test_a_secret_is_known_by_its_looks_wherever_it_stands(text: str, around: str) -> None:
    shown = json.dumps(redacted(event=around.format(text), nested={"list": [around.format(text)]}))

    assert REDACTED in shown
    assert text.rsplit(maxsplit=1)[-1] not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hidden@db:5432/x", "postgresql://[redacted]@db:5432/x"),
        ("redis://:hidden@127.0.0.1:6379/0", "redis://[redacted]@127.0.0.1:6379/0"),
        ("smtps://user%40x:hid@den@mail/", "smtps://[redacted]@mail/"),
        ("https://example.com:8443/a@b", "https://example.com:8443/a@b"),
        ("https://user@example.com/", "https://[redacted]/"),
    ],
)
def test_a_url_shows_its_host_and_not_its_password(url: str, shown: str) -> None:
    assert redacted(url=url)["url"] == shown


@pytest.mark.parametrize("name", ["payload", "raw", "body", "Authorization", "password", "token", "signature_headers"])
def test_some_fields_are_never_shown(name: str) -> None:
    assert redacted(**{name: {"anything": "at all"}}) == {name: REDACTED}
    assert redacted(inside={name: "x"}) == {"inside": {name: REDACTED}}


def test_bytes_are_told_by_their_length() -> None:
    assert redacted(x=b"{secret}") == {"x": "[8 bytes]"}


@pytest.mark.parametrize(
    "value",
    [
        *(0, -5, True, None, 1.5, 1000, 10**30, 4242424242424241),
        "order 0193a1b2-4242-4242-8242-424242424242",
        "42424242-4242-4242-4242-424242424242",
        "evt_1NG8Du2eZvKYlo2CUI79vXWy",
        "2026-11-22T12:00:00.000000Z",
        "1234567890123456",
        "https://api.stripe.com/v1/events?limit=100",
        "sk is not a key, nor is whsec",
    ],
)
def test_what_an_operator_needs_stays_readable(value: Any) -> None:
    assert redacted(value=value) == {"value": value}


def test_a_card_number_is_redacted_as_a_number_too() -> None:
    assert redacted(value=4242424242424242) == {"value": REDACTED}


@given(st.uuids())
def test_no_uuid_of_ours_is_mistaken_for_a_card(value: UUID) -> None:
    assert redacted(id=value) == {"id": str(value)}


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_redacting_never_fails(value: Any) -> None:
    redacted(value=value)


@pytest.fixture
def restored() -> Iterator[None]:
    """What ``configure`` changes is the whole process's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def fail() -> NoReturn:
    raise RuntimeError("sk_live_51Hsecret")


def lines(*, production: bool) -> list[str]:
    """What a line of ours, one of a library and a failure look like."""
    written = io.StringIO()
    with redirect_stdout(written):
        logs.configure(production=production)
        log = structlog.get_logger("test")
        log.info("order.moved", order_id="o_1", to="paid")
        log.debug("not.shown")
        logging.getLogger("uvicorn.error").warning("listening on %s", "redis://:hidden@host")
        try:
            fail()
        except RuntimeError:
            log.exception("failed")
            logging.getLogger("dramatiq").exception("failed too")
    return written.getvalue().splitlines()


@pytest.mark.usefixtures("restored")
def test_production_writes_one_json_object_a_line() -> None:
    ours, theirs, failed, failed_too = [json.loads(line) for line in lines(production=True)]

    assert (ours["event"], ours["order_id"], ours["level"]) == ("order.moved", "o_1", "info")
    assert ours["timestamp"].endswith("Z")
    assert (theirs["event"], theirs["logger"]) == ("listening on redis://[redacted]@host", "uvicorn.error")
    assert "RuntimeError: [redacted]" in failed["exception"]
    assert "RuntimeError: [redacted]" in failed_too["exception"]


@pytest.mark.usefixtures("restored")
def test_development_is_readable_and_as_discreet() -> None:
    shown = "\n".join(lines(production=False))

    assert "order.moved" in shown
    assert "listening on" in shown
    assert "RuntimeError" in shown
    assert "hidden" not in shown
    assert "51Hsecret" not in shown


@pytest.mark.usefixtures("restored")
def test_what_ends_a_process_or_a_thread_is_told_in_the_same_way() -> None:
    written = io.StringIO()
    with redirect_stdout(written):
        logs.configure(production=True)
        try:
            fail()
        except RuntimeError:
            sys.excepthook(*sys.exc_info())
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()

    ends = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [end["event"] for end in ends] == ["process.failed"] * 2
    assert all("RuntimeError: [redacted]" in end["exception"] for end in ends)
