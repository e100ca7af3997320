-- The moves in the history of an order, a subscription or a refund always lead from its beginning to where it stands.
-- Each status must be entered as often as it is left, the first and the last aside. That needs no order of the lines,
-- which clocks of several hosts could not give. One from before the oldest kept month has perhaps lost some.
WITH kept AS (
    SELECT min(to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM')) AS since
      FROM pg_inherits
     WHERE inhparent = 'history'::regclass AND inhrelid::regclass::text ~ '_\d{4}_\d\d$'
), asked AS (
    SELECT t.* FROM (SELECT 'order' AS kind, id, id AS order_id, 'pending' AS began, status, created_at FROM orders
                     UNION ALL SELECT 'subscription', id, order_id, 'incomplete', status, created_at
                                 FROM subscriptions
                     -- Where a refund began, its first line says: here, or at the gateway, in whichever state.
                     UNION ALL SELECT 'refund', id, order_id, NULL, status, created_at FROM refunds) AS t
     CROSS JOIN kept WHERE kept.since IS NULL OR t.created_at >= kept.since
), steps AS (
    SELECT h.subject AS kind, h.subject_id, h.to_status AS status, 1 AS step FROM history h
     WHERE h.subject IN ('order', 'subscription', 'refund') AND h.from_status IS NOT NULL
    UNION ALL SELECT h.subject, h.subject_id, h.from_status, -1 FROM history h
     WHERE h.subject IN ('order', 'subscription', 'refund') AND h.from_status IS NOT NULL
    UNION ALL SELECT h.subject, h.subject_id, h.to_status, 1 FROM history h
     WHERE h.subject = 'refund' AND h.from_status IS NULL
    UNION ALL SELECT kind, id::text, began, 1 FROM asked WHERE began IS NOT NULL
    UNION ALL SELECT kind, id::text, status, -1 FROM asked
), uneven AS (
    SELECT kind, subject_id, status, sum(step) AS surplus
      FROM steps GROUP BY kind, subject_id, status HAVING sum(step) <> 0
)
SELECT a.id::text AS subject, a.order_id,
       jsonb_build_object('what', a.kind, 'status', a.status, 'uneven', jsonb_object_agg(u.status, u.surplus))
           AS evidence
  FROM uneven u JOIN asked a ON a.id::text = u.subject_id AND a.kind = u.kind
 GROUP BY a.id, a.order_id, a.kind, a.status
