"""All that our database holds, read in bulk once everything has settled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import asyncpg

from db.pool import Pool, Tx

Row = asyncpg.Record


@dataclass(frozen=True, slots=True)
class Books:
    """Our side. Rows by the id of their order, unless it is said otherwise; what is of a subscription, by the id of the
    order that began it."""

    orders: dict[str, Row]
    subscriptions: dict[str, Row]
    invoices: dict[tuple[str, str], Row]  # by gateway and the gateway's id
    customers: list[Row]
    lives: dict[str, list[tuple[str, str]]]  # the moves of a subscription
    payments: dict[tuple[str, str], Row]  # by gateway and the gateway's id
    attempts: list[Row]
    access: dict[str, list[Row]]
    effects: dict[str, list[Row]]
    moves: dict[str, list[tuple[str, str]]]
    causes: dict[str, int]  # how often each has moved an order
    discrepancies: list[Row]
    letters: list[Row]
    refunds: list[Row]
    disputes: list[Row]
    movements: list[Row]
    payouts: list[Row]
    #: The moves of a refund or a dispute, by its id; the first is from None.
    money_lives: dict[str, list[tuple[str | None, str]]]


@dataclass(frozen=True, slots=True)
class Worked:
    """One kept event that is done: when it came, and when it was."""

    event_id: str
    event_type: str
    created_at: datetime
    processed_at: datetime
    retry_count: int

    @property
    def seconds(self) -> float:
        return (self.processed_at - self.created_at).total_seconds()


#: In the words of a failure. None of it may be left when everything has settled; but money that waits for a person keeps
#: its order pending by right.
UNFINISHED = """
    SELECT 'event' AS what, event_type AS of, id::text AS id, NULL AS order_id, last_error AS error
      FROM webhook_events WHERE status IN ('received', 'retry')
    UNION ALL
    SELECT 'effect', kind, id::text, order_id::text, last_error FROM effects WHERE status = 'pending'
    UNION ALL
    SELECT 'attempt', status, id::text, order_id::text, error FROM payment_attempts WHERE status IN ('intended', 'unknown')
    UNION ALL
    SELECT 'order', status, id::text, id::text, failure_reason FROM orders o
     WHERE status = 'pending'
       AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = o.id AND p.standing IN ('mismatched', 'held'))
    UNION ALL
    SELECT 'subscription', s.status, s.id::text, s.order_id::text, NULL
      FROM subscriptions s JOIN orders o ON o.id = s.order_id
     WHERE s.status = 'incomplete' AND o.status <> 'pending'
    UNION ALL
    SELECT 'request', r.kind, r.id::text, s.order_id::text, r.error
      FROM subscription_requests r JOIN subscriptions s ON s.id = r.subscription_id
     WHERE r.status IN ('intended', 'unknown')
    UNION ALL
    SELECT 'refund', status, id::text, order_id::text, failure_reason FROM refunds WHERE status IN ('requested', 'sent')
"""


#: A refund or a dispute, with its payment's name at the gateway, and the order that this began with.
OF_A_PAYMENT = """
    SELECT m.*, p.gateway_payment_id, coalesce(p.order_id, s.order_id)::text AS of_order
      FROM {} m JOIN payments p ON p.id = m.payment_id LEFT JOIN invoices i ON i.id = p.invoice_id
      LEFT JOIN subscriptions s ON s.id = i.subscription_id
"""


async def count_owed(tx: Tx | Pool) -> int:
    """Events and effects that wait for their work."""
    owed: int = await tx.fetchval(
        """
        SELECT (SELECT count(*) FROM webhook_events WHERE status IN ('received', 'retry'))
             + (SELECT count(*) FROM effects WHERE status = 'pending')
        """
    )
    return owed


async def count_held(tx: Tx | Pool) -> int:
    """Attempts that somebody is calling for, or was when they died: their leases are real time, and nobody skips it."""
    held: int = await tx.fetchval(
        """
        SELECT count(*) FROM payment_attempts
         WHERE status IN ('intended', 'unknown', 'open') AND calling_until > now()
        """
    )
    return held


async def age_requests(tx: Tx | Pool) -> None:
    """Let an hour have passed for what waits by real time, as it would have by now for everything else."""
    await tx.execute(
        """
        UPDATE subscription_requests
           SET updated_at = updated_at - interval '1 hour', calling_until = calling_until - interval '1 hour'
         WHERE status IN ('intended', 'unknown')
        """
    )


async def list_owed(tx: Tx | Pool) -> list[Row]:
    """Everything that is not finished."""
    return await tx.fetch(UNFINISHED)


async def read_books(tx: Tx) -> Books:
    """In one snapshot, if the caller's transaction is one."""
    orders = await tx.fetch("SELECT *, id::text AS order_id FROM orders")
    payments = await tx.fetch(
        """
        SELECT p.*, coalesce(p.order_id, s.order_id)::text AS of_order
          FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id LEFT JOIN subscriptions s ON s.id = i.subscription_id
        """
    )
    begun = await tx.fetch(
        """
        SELECT s.*, s.order_id::text AS of_order, coalesce(e.active, false) AS active, e.until, e.lapses_at, e.reason
          FROM subscriptions s LEFT JOIN entitlements e ON e.subscription_id = s.id
        """
    )
    invoices = await tx.fetch(
        "SELECT i.*, s.order_id::text AS of_order FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id"
    )
    moves: dict[str, list[tuple[str, str]]] = defaultdict(list)
    causes: dict[str, int] = defaultdict(int)
    for row in await tx.fetch("SELECT * FROM history WHERE subject = 'order' AND from_status IS NOT NULL ORDER BY id"):
        moves[row["subject_id"]].append((row["from_status"], row["to_status"]))
        causes[f"{row['to_status']} by {row['cause']}"] += 1
    order_of = {str(row["id"]): row["of_order"] for row in begun}
    lives: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in await tx.fetch(
        "SELECT * FROM history WHERE subject = 'subscription' AND from_status IS NOT NULL ORDER BY id"
    ):
        lives[order_of[row["subject_id"]]].append((row["from_status"], row["to_status"]))
    return Books(
        orders={row["order_id"]: row for row in orders},
        subscriptions={row["of_order"]: row for row in begun},
        invoices={(row["gateway"], row["gateway_invoice_id"]): row for row in invoices},
        customers=await tx.fetch("SELECT * FROM gateway_customers"),
        lives=lives,
        payments={(row["gateway"], row["gateway_payment_id"]): row for row in payments},
        attempts=await tx.fetch("SELECT *, order_id::text AS of_order FROM payment_attempts"),
        access=_by_order(await tx.fetch("SELECT *, order_id::text AS of_order FROM entitlements")),
        effects=_by_order(
            await tx.fetch(
                """
                SELECT e.*, coalesce(e.order_id, s.order_id)::text AS of_order
                  FROM effects e LEFT JOIN subscriptions s ON s.id = e.subscription_id
                """
            )
        ),
        moves=moves,
        causes=causes,
        discrepancies=await tx.fetch("SELECT *, order_id::text AS of_order FROM discrepancies"),
        letters=await tx.fetch("SELECT *, order_id::text AS of_order FROM dead_letters WHERE state = 'open'"),
        refunds=await tx.fetch(OF_A_PAYMENT.format("refunds")),
        disputes=await tx.fetch(OF_A_PAYMENT.format("disputes")),
        movements=await tx.fetch("SELECT * FROM movements"),
        payouts=await tx.fetch("SELECT * FROM payouts"),
        money_lives=await _read_money_lives(tx),
    )


async def _read_money_lives(tx: Tx) -> dict[str, list[tuple[str | None, str]]]:
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in await tx.fetch("SELECT * FROM history WHERE subject IN ('refund', 'dispute') ORDER BY id"):
        lines[row["subject_id"]].append(row)
    return {subject: list(_in_order(told)) for subject, told in lines.items()}


def _in_order(lines: list[Row]) -> Iterator[tuple[str | None, str]]:
    """As they follow from each other where two were written in one millisecond, which their ids do not tell apart."""
    at: str | None = None
    for _, same in groupby(lines, key=lambda row: row["id"].int >> 80):
        left = list(same)
        while left:
            following = next((row for row in left if row["from_status"] == at), left[0])
            left.remove(following)
            at = following["to_status"]
            yield following["from_status"], at


def _by_order(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["of_order"]].append(row)
    return found


async def read_worked(tx: Tx | Pool) -> list[Worked]:
    """Every event that was worked, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT event_id, event_type, created_at, processed_at, retry_count
          FROM webhook_events WHERE status = 'done' ORDER BY created_at
        """
    )
    return [Worked(**row) for row in rows]


async def read_kept(tx: Tx | Pool) -> set[tuple[str, str]]:
    """Gateway and id of every event that we hold because its gateway delivered it."""
    rows = await tx.fetch("SELECT gateway, event_id FROM webhook_events")
    return {(row["gateway"], row["event_id"]) for row in rows}


PAYMENTS_OF_ORDER = """
    SELECT p.id FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id LEFT JOIN subscriptions s ON s.id = i.subscription_id
     WHERE coalesce(p.order_id, s.order_id) = $1::text::uuid
"""


async def tell(tx: Tx | Pool, order_id: str) -> str:
    """All that the database knows of one order, for the story of a failure."""
    asked: dict[str, Any] = {
        "order": "SELECT * FROM orders WHERE id = $1::text::uuid",
        "attempts": """SELECT number, gateway, status, session_id, expires_at, calls, error, created_at, updated_at
                         FROM payment_attempts WHERE order_id = $1::text::uuid ORDER BY number""",
        "payments": "SELECT * FROM payments WHERE order_id = $1::text::uuid ORDER BY created_at",
        "history": "SELECT * FROM history WHERE subject_id = $1::text ORDER BY id",
        "access": "SELECT * FROM entitlements WHERE order_id = $1::text::uuid",
        "effects": """SELECT idempotency_key, status, attempts, last_error, created_at, sent_at
                        FROM effects WHERE order_id = $1::text::uuid OR subscription_id = (
                             SELECT id FROM subscriptions WHERE order_id = $1::text::uuid) ORDER BY id""",
        "subscription": "SELECT * FROM subscriptions WHERE order_id = $1::text::uuid",
        "invoice": """SELECT i.* FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id
                       WHERE s.order_id = $1::text::uuid ORDER BY i.created_at""",
        "renewal": """SELECT p.* FROM payments p JOIN invoices i ON i.id = p.invoice_id
                      JOIN subscriptions s ON s.id = i.subscription_id WHERE s.order_id = $1::text::uuid ORDER BY p.id""",
        "gives": """SELECT e.* FROM entitlements e JOIN subscriptions s ON s.id = e.subscription_id
                     WHERE s.order_id = $1::text::uuid""",
        "life": """SELECT h.* FROM history h JOIN subscriptions s ON h.subject_id = s.id::text
                    WHERE s.order_id = $1::text::uuid ORDER BY h.id""",
        "request": """SELECT r.* FROM subscription_requests r JOIN subscriptions s ON s.id = r.subscription_id
                       WHERE s.order_id = $1::text::uuid ORDER BY r.created_at""",
        "refund": f"SELECT * FROM ({OF_A_PAYMENT.format('refunds')}) r WHERE of_order = $1 ORDER BY created_at",
        "dispute": f"SELECT * FROM ({OF_A_PAYMENT.format('disputes')}) d WHERE of_order = $1 ORDER BY opened_at",
        "movement": f"""SELECT kind, amount, currency, cause, cause_id, fact, at FROM movements WHERE payment_id IN (
                            {PAYMENTS_OF_ORDER}) ORDER BY at, id""",
        "money": f"""SELECT h.* FROM history h WHERE h.subject IN ('refund', 'dispute') AND h.subject_id IN (
                         SELECT id::text FROM refunds WHERE payment_id IN ({PAYMENTS_OF_ORDER})
                          UNION SELECT id::text FROM disputes WHERE payment_id IN ({PAYMENTS_OF_ORDER})) ORDER BY h.id""",
        "discrepancies": "SELECT * FROM discrepancies WHERE order_id = $1::text::uuid",
        "events": f"""SELECT e.id, event_id, event_type, status, reason, retry_count, deliveries, source, e.created_at, processed_at
                       FROM webhook_events e
                      WHERE payload::text LIKE '%' || $1::text || '%' OR payload::text LIKE '%' || (
                            SELECT gateway_subscription_id FROM subscriptions WHERE order_id = $1::text::uuid) || '%'
                         OR EXISTS (SELECT FROM payments p WHERE p.id IN ({PAYMENTS_OF_ORDER})
                                       AND payload::text LIKE '%' || p.gateway_payment_id || '%')
                      ORDER BY e.id""",
    }
    told = [(title, row) for title, question in asked.items() for row in await tx.fetch(question, order_id)]
    return "\n".join(
        f"  {title}: {', '.join(f'{k}={v}' for k, v in row.items() if v is not None)}" for title, row in told
    )
