-- A paid order is never without its access; what a subscription gives stands beside the subscription.
SELECT o.id::text AS subject, o.id AS order_id, jsonb_build_object('paid_at', o.paid_at) AS evidence
  FROM orders o
 WHERE o.status = 'paid' AND NOT EXISTS (SELECT FROM entitlements e WHERE e.order_id = o.id AND e.active)
   AND NOT EXISTS (SELECT FROM subscriptions s WHERE s.order_id = o.id)
