-- A paid order never lacks one of its effects: the mail, the analytics event, the notification.
-- A trial is begun by an order of nothing: no mail thanks for a payment, the subscription's own tells of it.
SELECT o.id::text AS subject, o.id AS order_id, jsonb_build_object('missing', jsonb_agg(wanted.kind)) AS evidence
  FROM orders o
 CROSS JOIN unnest(ARRAY ['mail.payment_confirmed', 'analytics.payment_completed', 'notify.payment.completed'])
    AS wanted (kind)
 WHERE o.status = 'paid' AND NOT EXISTS (SELECT FROM effects f WHERE f.order_id = o.id AND f.kind = wanted.kind)
   AND NOT (o.amount = 0 AND wanted.kind LIKE 'mail%'
            AND EXISTS (SELECT FROM subscriptions s WHERE s.order_id = o.id))
 GROUP BY o.id
