-- An event never waits under a name that an order of ours bears.
SELECT e.id::text AS subject, NULL::uuid AS order_id, jsonb_build_object('name', u.reference) AS evidence
  FROM unmatched_references u JOIN webhook_events e ON e.id = u.webhook_event_id
 WHERE e.status = 'ignored' AND e.reason = 'unmatched'
   AND (EXISTS (SELECT FROM gateway_references r WHERE r.gateway = e.gateway AND r.reference = u.reference)
        OR EXISTS (SELECT FROM payments p
                    WHERE p.gateway = e.gateway AND p.gateway_payment_id = u.reference AND p.order_id IS NOT NULL)
        OR EXISTS (SELECT FROM orders o WHERE o.session_id = u.reference)
        OR EXISTS (SELECT FROM orders o WHERE o.payment_intent_id = u.reference)
        OR EXISTS (SELECT FROM orders o
                    WHERE o.id = CASE WHEN u.reference ~ '^order:[0-9a-f-]{36}$' THEN substr(u.reference, 7)::uuid END))
