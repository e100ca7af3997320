"""A worker process: consumes the queues until it is told to stop. Run as many as wanted, on as many hosts.

One process is one worker, without Dramatiq's forking master: a kill -9 takes nothing else with it, and its supervisor
brings it back.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

import dramatiq
from pydantic import SecretStr

import logs
import settings
from gateways.registry import GATEWAYS
from workers import actors
from workers.apply import Book
from workers.broker import make_broker
from workers.clock import business_clock
from workers.delivery.sender import WrongSetting
from workers.delivery.senders import DeliverySettings, build
from workers.queues import QUEUES
from workers.services import Services, WorkerValues
from workers.webhook_events import Account, Desk

#: How often an idle worker looks for new hints; Dramatiq polls, it cannot be woken.
POLL_MILLISECONDS = 150

#: Work in hand is finished within this long after SIGTERM; what is not is owed by its row.
STOP_SECONDS = 20


def values_from(environment: settings.Settings, queues: frozenset[str]) -> WorkerValues:
    """What the worker needs of the settings, as plain values."""
    desk = Desk(
        gateways=GATEWAYS,
        accounts={
            "stripe": Account(environment.stripe.livemode, environment.stripe.account_id),
            "razorpay": Account(environment.razorpay.livemode, environment.razorpay.account_id),
        },
        book=Book(environment.instance_id, environment.late_success, business_clock(environment.development_clock)),
    )
    return WorkerValues(
        database_url=environment.database_url.get_secret_value(),
        redis_url=environment.redis_url.get_secret_value(),
        threads=environment.worker_threads,
        desk=desk,
        delivery=_delivery_from(environment),
        gateways=environment.gateways,
        queues=queues,
    )


def _delivery_from(environment: settings.Settings) -> DeliverySettings:
    return DeliverySettings(
        production=environment.is_production,
        smtp_url=_revealed(environment.smtp_url),
        mail_from=environment.mail_from,
        mail_templates=environment.mail_templates,
        notify_url=_revealed(environment.notify_url),
        notify_secrets=_listed(_revealed(environment.notify_secret)),
        notify_allow=_listed(environment.notify_allow),
        analytics_url=_revealed(environment.analytics_url),
        outbox_dir=environment.outbox_dir,
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def run(values: WorkerValues) -> None:
    """Work until SIGTERM or Ctrl-C, then finish what is in hand and end, in bounded time even without Redis."""
    services = Services(values)
    broker = make_broker(values.redis_url, services)
    dramatiq.set_broker(broker)
    actors.declare(broker, services)

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    worker = dramatiq.Worker(
        broker, queues=set(values.queues), worker_threads=values.threads, worker_timeout=POLL_MILLISECONDS
    )
    worker.start()
    print("ready", flush=True)  # noqa: T201 - who started us waits for this line
    stopping.wait()

    # With Redis away Dramatiq's stop can raise, and its loop thread would keep a finished process alive for ever.
    threading.Timer(STOP_SECONDS + 5, os._exit, args=(1,)).start()
    worker.stop(timeout=STOP_SECONDS * 1000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--queues", nargs="+", choices=QUEUES, default=list(QUEUES), help="which queues to work")
    arguments = parser.parse_args()
    try:
        environment = settings.load()
        values = values_from(environment, frozenset(arguments.queues))
        build(values.delivery)  # a channel that cannot be built stops the start, not the first mail
    except (settings.SettingsError, WrongSetting) as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=environment.is_production)
    run(values)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
