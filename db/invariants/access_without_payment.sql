-- Access from an order is never active while the order is not paid.
SELECT e.id::text AS subject, e.order_id,
       jsonb_build_object('order_status', o.status, 'reason', e.reason, 'until', e.until) AS evidence
  FROM entitlements e JOIN orders o ON o.id = e.order_id
 WHERE e.active AND o.status <> 'paid'
