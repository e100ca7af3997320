"""A worker process: consumes the queues until it is told to stop. Run as many as wanted, on as many hosts.

One process is one worker, without Dramatiq's forking master: a kill -9 takes nothing else with it, and its supervisor
brings it back.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from uuid import UUID

import dramatiq
from pydantic import SecretStr

import logs
import settings
from gateways.registry import GATEWAYS
from web.watching import Address
from workers import actors, one_row
from workers.apply import Book
from workers.broker import make_broker
from workers.clock import business_clock
from workers.delivery.sender import WrongSetting
from workers.delivery.senders import DeliverySettings, build
from workers.queues import QUEUES
from workers.services import Services, WorkerValues
from workers.webhook_events import Account, Desk

#: How often an idle thread sees whether it is to end. Work wakes it at once.
IDLE_MILLISECONDS = 1000

#: Work in hand is finished within this long after SIGTERM; what is not is owed by its row.
STOP_SECONDS = 15

#: Then what is open is closed. Whoever hangs even there is ended.
END_SECONDS = STOP_SECONDS + 13


def values_from(
    environment: settings.Settings, queues: frozenset[str] = frozenset(QUEUES), threads: int | None = None
) -> WorkerValues:
    """What the worker needs of the settings, as plain values."""
    desk = Desk(
        gateways=GATEWAYS,
        accounts={
            "stripe": Account(environment.stripe.livemode, environment.stripe.account_id),
            "razorpay": Account(environment.razorpay.livemode, environment.razorpay.account_id),
        },
        book=Book(
            environment.instance_id,
            environment.late_success,
            business_clock(environment.development_clock),
            dunning=environment.dunning,
        ),
    )
    return WorkerValues(
        database_url=environment.database_url.get_secret_value(),
        redis_url=environment.redis_url.get_secret_value(),
        threads=threads or environment.worker_threads,
        desk=desk,
        delivery=_delivery_from(environment),
        gateways=environment.gateways,
        queues=queues,
        # Only where it is set: two workers beside each other cannot both have its default.
        watched_at=Address(environment.host, environment.port) if "port" in environment.model_fields_set else None,
        production=environment.is_production,
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
    """Work until SIGTERM or Ctrl-C, then finish what is in hand and end, whatever is away; at a second one, at once."""
    services = Services(values)
    broker = make_broker(values.redis_url, services)
    dramatiq.set_broker(broker)
    actors.declare(broker, services)
    worker = dramatiq.Worker(
        broker, queues=set(values.queues), worker_threads=values.threads, worker_timeout=IDLE_MILLISECONDS
    )

    wait_for_a_signal = _listen_for_signals()
    worker.start()
    if not services.is_open:
        os._exit(1)  # Dramatiq has logged why, and would wait for messages all the same.
    print("ready", flush=True)  # noqa: T201 - who started us waits for this line
    wait_for_a_signal()

    last_resort = threading.Timer(END_SECONDS, os._exit, (1,))
    last_resort.daemon = True
    last_resort.start()
    worker.stop(timeout=STOP_SECONDS * 1000)


def _listen_for_signals() -> Callable[[], None]:
    """What waits for the first SIGTERM or Ctrl-C; a second one ends the process at once.

    It waits at a socket: the kernel may give a signal to any thread, and a lock is left only for one of its own thread.
    """
    told: list[int] = []
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def stop(number: int, _: object) -> None:
        if told:
            os._exit(128 + number)  # as a shell tells it
        told.append(number)

    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    def wait() -> None:
        while not told:
            reader.recv(1)
        # From here on only a second signal matters, and that one's handler needs no waking.
        signal.set_wakeup_fd(-1)
        writer.close()
        reader.close()

    return wait


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--queues", nargs="+", choices=QUEUES, default=list(QUEUES), help="which queues to work")
    parser.add_argument("--threads", type=int, choices=range(1, 65), metavar="N", help="in place of WORKER_THREADS")
    parser.add_argument(
        "--alone", nargs=2, metavar=("SOURCE", "ID"), help="work one row that may end its process, and nothing else"
    )
    arguments = parser.parse_args()
    try:
        environment = settings.load()
        values = values_from(environment, frozenset(arguments.queues), arguments.threads)
        build(values.delivery)  # a channel that cannot be built stops the start, not the first mail
    except (settings.SettingsError, WrongSetting) as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=environment.is_production)
    if arguments.alone:
        source, row = arguments.alone
        return one_row.run(values, source, UUID(row))
    run(values)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
