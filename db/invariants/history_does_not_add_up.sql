-- The moves of an order's history always lead from pending to where the order stands: no line missing, none too many.
-- Each status must be entered as often as it is left, the first and the last aside. That needs no order of the lines,
-- which clocks of several hosts could not give. An order from before the oldest kept month has perhaps lost some.
WITH kept AS (
    SELECT min(to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM')) AS since
      FROM pg_inherits
     WHERE inhparent = 'history'::regclass AND inhrelid::regclass::text ~ '_\d{4}_\d\d$'
), asked AS (
    SELECT o.id, o.status FROM orders o CROSS JOIN kept WHERE kept.since IS NULL OR o.created_at >= kept.since
), steps AS (
    SELECT h.subject_id, h.to_status AS status, 1 AS step FROM history h
     WHERE h.subject = 'order' AND h.from_status IS NOT NULL
    UNION ALL SELECT h.subject_id, h.from_status, -1 FROM history h
     WHERE h.subject = 'order' AND h.from_status IS NOT NULL
    UNION ALL SELECT id::text, 'pending', 1 FROM asked
    UNION ALL SELECT id::text, status, -1 FROM asked
), uneven AS (
    SELECT subject_id, status, sum(step) AS surplus FROM steps GROUP BY subject_id, status HAVING sum(step) <> 0
)
SELECT a.id::text AS subject, a.id AS order_id,
       jsonb_build_object('order_status', a.status, 'uneven', jsonb_object_agg(u.status, u.surplus)) AS evidence
  FROM uneven u JOIN asked a ON a.id::text = u.subject_id
 GROUP BY a.id, a.status
