-- An order never has two pages that can both be paid, or may be.
SELECT order_id::text AS subject, order_id, jsonb_build_object('attempts', jsonb_agg(id)) AS evidence
  FROM payment_attempts
 WHERE status IN ('intended', 'unknown', 'open')
 GROUP BY order_id
HAVING count(*) > 1
