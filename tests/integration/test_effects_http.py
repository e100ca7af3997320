"""Notifications and analytics over real sockets: signed, judged by their answer, and never led astray."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from db.pool import Pool
from tests.owed import ANALYTICS, NOTIFY, effect, make_due, owe, row
from tests.receivers import HttpReceiver, answer, certificate, http_receiver
from workers.delivery.guarded_http import Guard
from workers.delivery.notifications import Notifications, notice, signers
from workers.delivery.receiver import Receiver
from workers.delivery.sender import SENT, NeverAgain, NotNow
from workers.delivery.senders import DeliverySettings, Senders, build
from workers.effects import Outcome, send_effect

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT_SECRET = "whsec_" + "bmV4dCBzZWNyZXQgb2YgMjQgYnl0ZXM="
HOST = "app.example.test"


def application(url: str, *, secrets: tuple[str, ...] = (SECRET,), allow: tuple[str, ...] = ()) -> Senders:
    return build(DeliverySettings(production=False, notify_url=url, notify_secrets=secrets, notify_allow=allow))


def here(receiver: HttpReceiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/hooks"


class Dns:
    """A resolver that gives the next answer each time, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_f154_a_notice_verifies_with_the_standard_library_of_its_receivers() -> None:
    async with http_receiver() as receiver, application(here(receiver)) as senders:
        settled = await senders.send(effect(NOTIFY))

    (request,) = receiver.requests
    verified = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert settled is SENT
    assert verified == notice(effect(NOTIFY))
    assert request.headers["webhook-id"] == verified["id"]
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("known", [SECRET, NEXT_SECRET])
async def test_f154_while_secrets_rotate_either_of_them_verifies(known: str) -> None:
    async with http_receiver() as receiver, application(here(receiver), secrets=(SECRET, NEXT_SECRET)) as senders:
        await senders.send(effect(NOTIFY))

    (request,) = receiver.requests
    assert Webhook(known).verify(request.body, dict(request.headers))
    assert len(request.headers["webhook-signature"].split(" ")) == 2


async def test_a_notice_that_was_tampered_with_does_not_verify() -> None:
    async with http_receiver() as receiver, application(here(receiver)) as senders:
        await senders.send(effect(NOTIFY))

    (request,) = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.replace(b"4900", b"4901"), dict(request.headers))


async def test_f153_a_retried_notice_is_the_same_bytes_under_the_same_id_and_signed_anew(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)
    async with http_receiver(answer(503), answer(200)) as receiver, application(here(receiver)) as senders:
        outcomes = [await send_effect(pool, senders, owed)]
        await pool.execute("UPDATE orders SET status = 'refunded'")
        await make_due(pool, owed)
        outcomes.append(await send_effect(pool, senders, owed))

    first, second = receiver.requests
    assert outcomes == [Outcome.RETRY, Outcome.SENT]
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert Webhook(SECRET).verify(second.body, dict(second.headers))


async def test_f52_a_crash_before_the_row_says_sent_repeats_the_same_id(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)
    async with http_receiver() as receiver, application(here(receiver)) as senders:
        await senders.send(effect(NOTIFY))
        outcome = await send_effect(pool, senders, owed)

    assert outcome is Outcome.SENT
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_analytics_gets_a_track_call_with_the_key_as_basic_authentication() -> None:
    async with http_receiver() as receiver:
        url = f"http://write-key@127.0.0.1:{receiver.port}/v1/track"
        async with build(DeliverySettings(production=False, analytics_url=url)) as senders:
            await senders.send(effect(ANALYTICS))

    (request,) = receiver.requests
    body = json.loads(request.body)
    assert request.path == "/v1/track"
    assert request.headers["authorization"] == "Basic d3JpdGUta2V5Og=="
    assert "write-key" not in str(request)
    assert (body["type"], body["event"]) == ("track", "payment_completed")
    assert body["messageId"] == effect(ANALYTICS).idempotency_key


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_taken_for_received(status: int) -> None:
    async with http_receiver(answer(status)) as receiver, application(here(receiver)) as senders:
        assert await senders.send(effect(NOTIFY)) is SENT


@pytest.mark.parametrize("status", [302, 307, 401, 403, 404, 408, 409, 421, 425, 429, 500, 502, 503, 504, 599])
async def test_what_a_receiver_can_repair_is_tried_again(status: int) -> None:
    async with http_receiver(answer(status)) as receiver, application(here(receiver)) as senders:
        with pytest.raises(NotNow, match=f"answered {status}"):
            await senders.send(effect(NOTIFY))


@pytest.mark.parametrize("status", [301, 308, 304, 400, 405, 410, 413, 415, 422, 451])
async def test_what_will_be_refused_again_is_not(status: int) -> None:
    async with http_receiver(answer(status)) as receiver, application(here(receiver)) as senders:
        with pytest.raises(NeverAgain, match=f"answered {status}"):
            await senders.send(effect(NOTIFY))


async def test_retry_after_reaches_the_row(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)
    async with http_receiver(answer(429, "retry-after: 7200")) as receiver, application(here(receiver)) as senders:
        await send_effect(pool, senders, owed)

    assert 7190 < (await row(pool, owed))["wait"] <= 7200


async def test_nobody_listening_is_tried_again() -> None:
    async with http_receiver() as receiver:
        url = here(receiver)
    async with application(url) as senders:
        with pytest.raises(NotNow, match="connection to the receiver failed"):
            await senders.send(effect(NOTIFY))


async def test_a_receiver_that_hangs_up_or_talks_nonsense_is_tried_again() -> None:
    async with http_receiver(b"", b"SSH-2.0-hello\r\n\r\n") as receiver, application(here(receiver)) as senders:
        for _ in range(2):
            with pytest.raises(NotNow, match="connection to the receiver failed"):
                await senders.send(effect(NOTIFY))


async def test_an_endless_answer_is_hung_up_on_and_its_status_counts() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536
        writer.close()

    listening = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with application(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/") as senders:
        settled = await senders.send(effect(NOTIFY))
    listening.close()

    assert settled is SENT
    assert written < 50_000_000


async def test_an_answer_whose_body_never_comes_counts_all_the_same() -> None:
    promised = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
    async with http_receiver(promised) as receiver, application(here(receiver)) as senders:
        async with asyncio.timeout(5):
            settled = await senders.send(effect(NOTIFY))

    assert settled is SENT


async def test_a_cookie_is_not_kept() -> None:
    async with (
        http_receiver(answer(200, "set-cookie: a=b; Path=/")) as receiver,
        application(here(receiver)) as senders,
    ):
        for _ in range(2):
            await senders.send(effect(NOTIFY))

    assert ["cookie" in request.headers for request in receiver.requests] == [False, False]


async def test_a_short_answer_leaves_the_connection_for_the_next_notice() -> None:
    async with http_receiver(answer(200, body=b"thanks")) as receiver, application(here(receiver)) as senders:
        for _ in range(3):
            await senders.send(effect(NOTIFY))

    assert (len(receiver.requests), receiver.connections) == (3, 1)


async def test_f154_a_redirect_is_not_followed(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)
    async with http_receiver() as inner:
        moved = answer(307, f"location: http://127.0.0.1:{inner.port}/metadata")
        async with http_receiver(moved) as outer, application(here(outer)) as senders:
            outcome = await send_effect(pool, senders, owed)

    assert outcome is Outcome.RETRY
    assert (len(outer.requests), inner.requests) == (1, [])


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/", "https://localhost:{port}/", "https://[::1]:{port}/"])
async def test_f154_a_private_address_is_refused_before_a_byte_is_sent(pool: Pool, url: str) -> None:
    owed = await owe(pool, NOTIFY)
    async with http_receiver() as receiver:
        values = DeliverySettings(production=True, notify_url=url.format(port=receiver.port), notify_secrets=(SECRET,))
        async with build(values) as senders:
            outcome = await send_effect(pool, senders, owed)

    assert outcome is Outcome.DEAD
    assert "private address" in (await row(pool, owed))["last_error"]
    assert receiver.connections == 0


async def test_f154_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    guard = Guard.of(["127.0.0.1"], production=True)
    async with http_receiver(host="127.0.0.1") as allowed:
        # A second look-up would give an address that is refused, and the system knows no such host at all.
        dns = Dns(["127.0.0.1"], ["127.0.0.2"])
        receiver = Receiver("NOTIFY_URL", f"http://{HOST}:{allowed.port}/", guard, dns)
        notifications = Notifications(receiver, signers([SECRET], production=True))

        await notifications.send(effect(NOTIFY))
        with pytest.raises(NeverAgain, match="private address"):
            await notifications.send(effect(NOTIFY))
        await receiver.aclose()

    assert dns.asked == [HOST, HOST]
    assert [request.headers["host"] for request in allowed.requests] == [f"{HOST}:{allowed.port}"]


@pytest.mark.parametrize("addresses", [["127.0.0.9", "127.0.0.1"], ["127.0.0.9", "127.0.0.1", "127.0.0.8"]])
async def test_an_address_that_does_not_answer_gives_way_to_the_next(addresses: list[str]) -> None:
    guard = Guard.of(["127.0.0.0/8"], production=True)
    async with http_receiver(host="127.0.0.1") as listening:
        receiver = Receiver("NOTIFY_URL", f"http://{HOST}:{listening.port}/", guard, Dns(addresses))
        await receiver.post(b"{}", {})
        await receiver.aclose()

    assert len(listening.requests) == 1


@pytest.mark.parametrize("addresses", [[], ["127.0.0.9"]])
async def test_a_name_without_a_listening_address_is_tried_again(addresses: list[str]) -> None:
    async with http_receiver(host="127.0.0.1") as listening:
        guard = Guard.of(["127.0.0.0/8"], production=True)
        receiver = Receiver("NOTIFY_URL", f"http://{HOST}:{listening.port}/", guard, Dns(addresses))
        with pytest.raises(NotNow):
            await receiver.post(b"{}", {})
        await receiver.aclose()


async def test_a_name_that_does_not_exist_is_tried_again() -> None:
    async with application("http://no-such-host.invalid/hooks") as senders:
        with pytest.raises(NotNow, match="could not be resolved"):
            await senders.send(effect(NOTIFY))


async def test_tls_asks_for_the_name_and_checks_it_although_we_connect_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, trusted = certificate(tmp_path, HOST)
    asked: list[str | None] = []
    tls.sni_callback = lambda _, name, __: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    guard = Guard.of(["127.0.0.1"], production=True)

    async with http_receiver(tls=tls) as listening:
        right = Receiver("NOTIFY_URL", f"https://{HOST}:{listening.port}/", guard, Dns(["127.0.0.1"]))
        wrong = Receiver("NOTIFY_URL", f"https://other.example.test:{listening.port}/", guard, Dns(["127.0.0.1"]))
        await right.post(b"{}", {})
        with pytest.raises(NotNow, match="connection to the receiver failed"):
            await wrong.post(b"{}", {})
        await right.aclose()
        await wrong.aclose()

    assert asked == [HOST, "other.example.test"]
    assert [request.headers["host"] for request in listening.requests] == [f"{HOST}:{listening.port}"]


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_receiver() as proxy, http_receiver() as receiver:
        monkeypatch.setenv("HTTP_PROXY", here(proxy))
        monkeypatch.setenv("ALL_PROXY", here(proxy))
        async with application(here(receiver)) as senders:
            await senders.send(effect(NOTIFY))

    assert (proxy.connections, receiver.connections) == (0, 1)


async def test_no_secret_reaches_a_log_or_a_row(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    owed = await owe(pool, NOTIFY)
    async with http_receiver() as gone:
        port = gone.port
    async with http_receiver(answer(500, body=b"hidden-in-body")) as receiver:
        for target in (receiver.port, port):
            url = f"http://user:hidden-password@127.0.0.1:{target}/hooks?token=hidden-token"
            async with application(url) as senders:
                await make_due(pool, owed)
                await send_effect(pool, senders, owed)

                assert "hidden" not in str(await row(pool, owed))
    assert "hidden" not in caplog.text
