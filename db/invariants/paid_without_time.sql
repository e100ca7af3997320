-- An order is never paid without saying when.
SELECT id::text AS subject, id AS order_id, jsonb_build_object('updated_at', updated_at) AS evidence
  FROM orders
 WHERE status = 'paid' AND paid_at IS NULL
