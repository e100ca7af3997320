-- A paid order never lacks one of its effects: the mail, the analytics event, the notification.
SELECT o.id::text AS subject, o.id AS order_id, jsonb_build_object('missing', jsonb_agg(wanted.kind)) AS evidence
  FROM orders o
 CROSS JOIN unnest(ARRAY ['mail.payment_confirmed', 'analytics.payment_completed', 'notify.payment.completed'])
    AS wanted (kind)
 WHERE o.status = 'paid' AND NOT EXISTS (SELECT FROM effects f WHERE f.order_id = o.id AND f.kind = wanted.kind)
 GROUP BY o.id
