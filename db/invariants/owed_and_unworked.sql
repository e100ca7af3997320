-- What is owed is never left untouched for an hour, unless a person has paused its queue.
SELECT o.source || ' ' || o.id AS subject, o.order_id,
       jsonb_build_object('source', o.source, 'id', o.id, 'what', o.what, 'owed_since', o.next_attempt_at) AS evidence
  FROM (SELECT 'webhook_event' AS source, id, event_type AS what, queue, next_attempt_at, NULL::uuid AS order_id
          FROM webhook_events WHERE status IN ('received', 'retry')
        UNION ALL
        SELECT 'effect', id, kind, queue, next_attempt_at, order_id FROM effects WHERE status = 'pending') AS o
 WHERE o.next_attempt_at < now() - interval '1 hour' AND NOT is_paused(o.queue)
