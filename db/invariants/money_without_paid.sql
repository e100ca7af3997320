-- A payment is never accepted while what it paid is not settled: its order, and its invoice.
SELECT p.id::text AS subject, coalesce(p.order_id, s.order_id) AS order_id,
       jsonb_build_object('payment', p.gateway_payment_id, 'amount', p.amount, 'currency', p.currency,
                          'order_status', o.status, 'invoice_status', i.status) AS evidence
  FROM payments p LEFT JOIN orders o ON o.id = p.order_id
       LEFT JOIN invoices i ON i.id = p.invoice_id LEFT JOIN subscriptions s ON s.id = i.subscription_id
 WHERE p.standing = 'accepted'
   AND (coalesce(o.id, i.id) IS NULL OR o.status NOT IN ('paid', 'refunded', 'disputed') OR i.status <> 'paid')
