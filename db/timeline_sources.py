"""Where a timeline comes from: for each kind of line the statement that finds it, all of one shape.

Each gives ``recorded_at`` (real time of the transaction that wrote it, as near as the row tells), ``at`` (the time that
it tells), ``id``, ``subject``, ``subject_id``, ``detail``, and ``@hidden``: what is shown only to who has said why. $1
are the orders that are meant, $2 the subscriptions, $3 the user (for what is a user's alone).
"""

from __future__ import annotations

from collections.abc import Mapping

from payments.timeline import Kind

#: The rows that belong to these orders and subscriptions. No text reaches a cast that has not the shape of an id.
#: What is found first is handed on as an array: of a list that is joined the planner does not know how short it is, and
#: reads the whole table.
RELATED = """
    pays AS (
        SELECT id FROM payments WHERE order_id = ANY ($1::uuid[])
        UNION SELECT p.id FROM payments p JOIN invoices i ON i.id = p.invoice_id
               WHERE i.subscription_id = ANY ($2::uuid[])
    ), gone_back AS (
        SELECT id FROM refunds WHERE payment_id = ANY (ARRAY(SELECT id FROM pays))
    ), disputed AS (
        SELECT id FROM disputes WHERE payment_id = ANY (ARRAY(SELECT id FROM pays))
    ), subjects (id) AS (
        SELECT o::text FROM unnest($1::uuid[]) AS o UNION ALL SELECT s::text FROM unnest($2::uuid[]) AS s
        UNION ALL SELECT id::text FROM gone_back UNION ALL SELECT id::text FROM disputed
    ), told AS (
        SELECT h.*, CASE WHEN cause = 'webhook_event' AND cause_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                         THEN cause_id::uuid END AS event
          FROM history h
         WHERE subject IN ('order', 'subscription', 'refund', 'dispute')
           AND subject_id = ANY (ARRAY(SELECT id FROM subjects))
    ), booked AS (
        SELECT m.*, CASE WHEN cause = 'webhook_event' AND cause_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                         THEN cause_id::uuid END AS event
          FROM movements m
         WHERE m.id = ANY (ARRAY(
               SELECT id FROM movements WHERE order_id = ANY ($1::uuid[])
               UNION SELECT id FROM movements WHERE payment_id = ANY (ARRAY(SELECT id FROM pays))))
    ), owed AS (
        SELECT id FROM effects WHERE order_id = ANY ($1::uuid[])
        UNION SELECT id FROM effects WHERE subscription_id = ANY ($2::uuid[])
        UNION SELECT id FROM effects WHERE idempotency_key = ANY (ARRAY(
            SELECT 'gateway.refund_payment:' || id FROM gone_back))
    ), pages AS (
        SELECT id FROM payment_attempts WHERE order_id = ANY ($1::uuid[])
    ), names (name) AS (
        SELECT reference FROM gateway_references WHERE order_id = ANY ($1::uuid[])
        UNION ALL SELECT 'order:' || o FROM unnest($1::uuid[]) AS o
    ), events AS (
        SELECT id FROM webhook_events WHERE order_id = ANY ($1::uuid[])
        UNION SELECT event FROM told WHERE event IS NOT NULL
        UNION SELECT event FROM booked WHERE event IS NOT NULL
        UNION SELECT webhook_event_id FROM unmatched_references WHERE reference = ANY (ARRAY(SELECT name FROM names))
    ), worked (id) AS (
        SELECT id FROM events UNION ALL SELECT id FROM owed
    ), ids (id) AS (
        SELECT id::text FROM pays UNION ALL SELECT id::text FROM gone_back UNION ALL SELECT id::text FROM disputed
        UNION ALL SELECT id::text FROM owed UNION ALL SELECT id::text FROM events
        UNION ALL SELECT o::text FROM unnest($1::uuid[]) AS o UNION ALL SELECT s::text FROM unnest($2::uuid[]) AS s
        UNION ALL SELECT $3::text WHERE $3::text IS NOT NULL
    )
"""

_PLACED = """
    SELECT least(o.created_at, o.updated_at, a.first_at, k.first_at) AS recorded_at, o.created_at AS at, o.id,
           'order' AS subject, o.id::text AS subject_id,
           jsonb_build_object('caller', o.user_id, 'plan', o.plan_id, 'amount', o.amount, 'currency', o.currency,
                              'gateway', o.gateway, 'idempotencyKeys', coalesce(k.keys, '[]')) AS detail,
           @hidden AS hidden
      FROM orders o
      LEFT JOIN LATERAL (SELECT min(created_at) AS first_at FROM payment_attempts WHERE order_id = o.id) a ON true
      LEFT JOIN LATERAL (SELECT min(created_at) AS first_at, jsonb_agg(key ORDER BY created_at, key) AS keys,
                                jsonb_agg(answer ORDER BY created_at, key) AS answers
                           FROM idempotency_keys WHERE user_id = o.user_id AND order_id = o.id) k ON true
     WHERE o.id = ANY ($1::uuid[])
"""

_CUSTOMER = """
    SELECT created_at AS recorded_at, created_at AS at, md5(user_id || ' ' || gateway)::uuid AS id,
           'user' AS subject, user_id AS subject_id,
           jsonb_build_object('gateway', gateway, 'customer', customer_id, 'idempotencyKey', idempotency_key,
                              'calls', calls) AS detail, @hidden AS hidden
      FROM gateway_customers WHERE user_id = $3::text
"""

_ATTEMPT = """
    SELECT created_at AS recorded_at, created_at AS at, id, 'order' AS subject, order_id::text AS subject_id,
           jsonb_build_object('number', number, 'gateway', gateway, 'idempotencyKey', idempotency_key,
                              'status', status, 'session', session_id, 'calls', calls, 'error', error,
                              'expiresAt', expires_at, 'updatedAt', updated_at) AS detail,
           @hidden AS hidden
      FROM payment_attempts WHERE order_id = ANY ($1::uuid[])
"""

_ASKED = """
    SELECT r.created_at AS recorded_at, r.created_at AS at, r.id, 'subscription' AS subject,
           r.subscription_id::text AS subject_id,
           jsonb_build_object('what', r.kind, 'by', r.asked_by, 'gateway', s.gateway,
                              'idempotencyKey', r.idempotency_key, 'status', r.status, 'calls', r.calls,
                              'error', r.error, 'updatedAt', r.updated_at) AS detail,
           @hidden AS hidden
      FROM subscription_requests r JOIN subscriptions s ON s.id = r.subscription_id
     WHERE r.subscription_id = ANY ($2::uuid[])
"""

_CALL = """
    SELECT at AS recorded_at, at, id, source AS subject, source_id::text AS subject_id,
           jsonb_build_object('gateway', gateway, 'operation', operation, 'outcome', outcome,
                              'requestId', request_id, 'milliseconds', milliseconds) AS detail, @hidden AS hidden
      FROM gateway_calls
     WHERE source IN ('effect', 'payment_attempt', 'order', 'subscription_request') AND source_id = ANY (ARRAY(
           SELECT id FROM owed UNION ALL SELECT id FROM pages UNION ALL SELECT o FROM unnest($1::uuid[]) AS o
           UNION ALL SELECT id FROM subscription_requests WHERE subscription_id = ANY ($2::uuid[])))
"""

_DELIVERY = """
    SELECT created_at AS recorded_at, created_at AS at, id, 'order' AS subject, order_id::text AS subject_id,
           jsonb_build_object('gateway', gateway, 'event', event_id, 'type', event_type, 'version', api_version,
                              'source', source, 'deliveries', deliveries, 'lastDeliveryAt', last_delivery_at,
                              'signedWith', secret_id, 'status', status, 'reason', reason,
                              'processedAt', processed_at, 'gatewayCreatedAt', gateway_created_at,
                              'error', error_class, 'sha256', payload_hash) AS detail,
           @hidden AS hidden
      FROM webhook_events WHERE id = ANY (ARRAY(SELECT id FROM events))
"""

_WORK = """
    SELECT finished_at AS recorded_at, finished_at AS at, id, source AS subject, source_id::text AS subject_id,
           jsonb_build_object('outcome', outcome, 'class', class, 'errorClass', error_class, 'error', error,
                              'worker', worker, 'life', epoch, 'startedAt', started_at) AS detail,
           @hidden AS hidden
      FROM work_attempts
     WHERE source IN ('webhook_event', 'effect') AND source_id = ANY (ARRAY(SELECT id FROM worked))
"""

_PAYMENT = """
    SELECT p.created_at AS recorded_at, p.created_at AS at, p.id,
           CASE WHEN p.order_id IS NULL THEN 'subscription' ELSE 'order' END AS subject,
           coalesce(p.order_id, i.subscription_id)::text AS subject_id,
           jsonb_build_object('gateway', p.gateway, 'payment', p.gateway_payment_id, 'amount', p.amount,
                              'currency', p.currency, 'status', p.status, 'standing', p.standing,
                              'refunded', p.amount_refunded, 'refunding', p.amount_refunding,
                              'failure', p.failure_code, 'gatewayReason', p.failure_gateway_reason,
                              'invoice', i.gateway_invoice_id) AS detail, @hidden AS hidden
      FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id WHERE p.id = ANY (ARRAY(SELECT id FROM pays))
"""

_INVOICE = """
    SELECT least(i.created_at, i.updated_at) AS recorded_at, i.created_at AS at, i.id, 'subscription' AS subject,
           i.subscription_id::text AS subject_id,
           jsonb_build_object('gateway', i.gateway, 'invoice', i.gateway_invoice_id, 'number', i.number,
                              'reason', i.reason, 'amount', i.amount, 'paid', i.amount_paid, 'currency', i.currency,
                              'status', i.status, 'attempts', i.attempts, 'failure', i.failure_code,
                              'periodStart', i.period_start, 'periodEnd', i.period_end, 'paidAt', i.paid_at) AS detail,
           @hidden AS hidden
      FROM invoices i WHERE i.subscription_id = ANY ($2::uuid[])
"""

_REFUND = """
    SELECT least(r.created_at, r.updated_at, (SELECT min(coalesce(h.written_at, h.at)) FROM told h
                                 WHERE h.subject = 'refund' AND h.subject_id = r.id::text)) AS recorded_at,
           r.created_at AS at, r.id, 'refund' AS subject, r.id::text AS subject_id,
           jsonb_build_object('gateway', r.gateway, 'refund', r.gateway_refund_id, 'payment', p.gateway_payment_id,
                              'amount', r.amount, 'currency', r.currency, 'reason', r.reason_code, 'by', r.asked_by,
                              'idempotencyKey', r.idempotency_key, 'status', r.status, 'failure', r.failure_reason,
                              'sentAt', r.sent_at, 'settledAt', r.settled_at) AS detail,
           @hidden AS hidden
      FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE r.id = ANY (ARRAY(SELECT id FROM gone_back))
"""

_DISPUTE = """
    SELECT least(d.opened_at, d.updated_at, (SELECT min(coalesce(h.written_at, h.at)) FROM told h
                                WHERE h.subject = 'dispute' AND h.subject_id = d.id::text)) AS recorded_at,
           d.opened_at AS at, d.id, 'dispute' AS subject, d.id::text AS subject_id,
           jsonb_build_object('gateway', d.gateway, 'dispute', d.gateway_dispute_id, 'payment', p.gateway_payment_id,
                              'amount', d.amount, 'currency', d.currency, 'status', d.status,
                              'gatewayStatus', d.gateway_status, 'reason', d.reason, 'withdrawn', d.withdrawn,
                              'reinstated', least(d.withdrawn, d.reinstated), 'evidenceDueAt', d.evidence_due_at,
                              'closedAt', d.closed_at) AS detail, @hidden AS hidden
      FROM disputes d JOIN payments p ON p.id = d.payment_id WHERE d.id = ANY (ARRAY(SELECT id FROM disputed))
"""

_MOVE = """
    SELECT coalesce(written_at, at) AS recorded_at, at, id, subject, subject_id,
           jsonb_build_object('from', from_status, 'to', to_status, 'cause', cause, 'causeId', cause_id,
                              'causeEvent', (SELECT e.event_id FROM webhook_events e WHERE e.id = told.event),
                              'told', detail) AS detail, @hidden AS hidden
      FROM told
"""

#: A subscription's stands in its history. An order's is granted once, and whatever becomes of it is announced.
_ACCESS = """
    SELECT coalesce(written_at, at) AS recorded_at, at, id, subject, subject_id,
           (detail -> 'access') || jsonb_build_object(
               'cause', cause, 'causeId', cause_id,
               'causeEvent', (SELECT e.event_id FROM webhook_events e WHERE e.id = told.event)) AS detail,
           NULL::jsonb AS hidden
      FROM told WHERE subject = 'subscription' AND jsonb_typeof(detail -> 'access') = 'object'
    UNION ALL
    SELECT created_at, created_at, id, 'order', order_id::text,
           jsonb_build_object('active', true, 'reason', 'paid', 'plan', plan_id), NULL::jsonb
      FROM entitlements WHERE order_id = ANY ($1::uuid[])
    UNION ALL
    SELECT created_at, created_at, id, 'order', order_id::text,
           jsonb_build_object('active', kind = 'notify.access.restored', 'reason', detail -> 'reason',
                              'until', detail -> 'until'), NULL::jsonb
      FROM effects
     WHERE order_id = ANY ($1::uuid[]) AND subscription_id IS NULL
       AND kind IN ('notify.access.suspended', 'notify.access.restored')
"""

_MOVEMENT = """
    SELECT coalesce(m.written_at, m.at) AS recorded_at, m.at, m.id,
           CASE WHEN m.order_id IS NULL THEN 'payment' ELSE 'order' END AS subject,
           coalesce(m.order_id, m.payment_id)::text AS subject_id,
           jsonb_build_object('what', m.kind, 'gateway', m.gateway, 'amount', m.amount, 'currency', m.currency,
                              'cause', m.cause, 'causeId', m.cause_id,
                              'causeEvent', (SELECT e.event_id FROM webhook_events e WHERE e.id = m.event),
                              'fact', m.fact) AS detail, @hidden AS hidden
      FROM booked m
"""

_EFFECT = """
    SELECT created_at AS recorded_at, created_at AS at, id,
           CASE WHEN subscription_id IS NULL THEN 'order' ELSE 'subscription' END AS subject,
           coalesce(subscription_id, order_id)::text AS subject_id,
           jsonb_build_object('what', kind, 'status', status, 'idempotencyKey', idempotency_key,
                              'attempts', attempts, 'sentAt', sent_at, 'nextAttemptAt', next_attempt_at,
                              'note', CASE WHEN status <> 'dead' THEN last_error END) AS detail,
           @hidden AS hidden
      FROM effects WHERE id = ANY (ARRAY(SELECT id FROM owed))
"""

_DISCREPANCY = """
    SELECT created_at AS recorded_at, created_at AS at, id, 'order' AS subject, order_id::text AS subject_id,
           jsonb_build_object('what', kind, 'gateway', gateway, 'amount', amount_at_risk, 'currency', currency,
                              'state', state, 'proposed', proposed_action, 'closedAt', closed_at,
                              'closedBy', closed_by, 'evidence', evidence) AS detail, @hidden AS hidden
      FROM discrepancies
     WHERE order_id = ANY ($1::uuid[]) OR subscription_id = ANY ($2::uuid[])
        OR payment_id = ANY (ARRAY(SELECT id FROM pays))
"""

_DEAD_LETTER = """
    SELECT created_at AS recorded_at, created_at AS at, id, source AS subject, source_id AS subject_id,
           jsonb_build_object('what', what, 'class', class, 'errorClass', error_class, 'error', error,
                              'attempts', attempts, 'state', state, 'closedAt', closed_at, 'closedBy', closed_by,
                              'closedReason', closed_reason) AS detail, @hidden AS hidden
      FROM dead_letters
     WHERE source IN ('webhook_event', 'effect') AND source_id = ANY (ARRAY(SELECT id::text FROM worked))
"""

_ACT = """
    SELECT at AS recorded_at, at, id, 'operator' AS subject, actor AS subject_id,
           jsonb_build_object('what', action, 'by', actor, 'via', via, 'why', reason, 'target', target) AS detail,
           @hidden AS hidden
      FROM operator_actions
     WHERE named_in_act(target, before, after) && ARRAY(SELECT id FROM ids)
"""

SOURCES: Mapping[Kind, str] = {
    Kind.PLACED: _PLACED,
    Kind.CUSTOMER: _CUSTOMER,
    Kind.ATTEMPT: _ATTEMPT,
    Kind.ASKED: _ASKED,
    Kind.CALL: _CALL,
    Kind.DELIVERY: _DELIVERY,
    Kind.WORK: _WORK,
    Kind.PAYMENT: _PAYMENT,
    Kind.INVOICE: _INVOICE,
    Kind.REFUND: _REFUND,
    Kind.DISPUTE: _DISPUTE,
    Kind.MOVE: _MOVE,
    Kind.ACCESS: _ACCESS,
    Kind.MOVEMENT: _MOVEMENT,
    Kind.EFFECT: _EFFECT,
    Kind.DISCREPANCY: _DISCREPANCY,
    Kind.DEAD_LETTER: _DEAD_LETTER,
    Kind.ACT: _ACT,
}

#: What only the desk may show, and says why, in the place of ``@hidden``. Of any other kind nothing is hidden.
HIDDEN: Mapping[Kind, str] = {
    Kind.PLACED: "jsonb_build_object('answers', k.answers)",
    Kind.ATTEMPT: "jsonb_build_object('url', url, 'request', request)",
    Kind.ASKED: "jsonb_build_object('request', r.request)",
    Kind.DELIVERY: "jsonb_build_object('payload', coalesce(payload, to_jsonb(encode(payload_raw, 'escape'))))",
    Kind.WORK: "jsonb_build_object('traceback', traceback)",
    Kind.INVOICE: "jsonb_build_object('url', i.hosted_url)",
    Kind.REFUND: "jsonb_build_object('note', r.note, 'askedKey', r.asked_key)",
    Kind.EFFECT: "jsonb_build_object('detail', detail, 'lastError', last_error)",
    Kind.ACT: "jsonb_build_object('before', before, 'after', after)",
}
