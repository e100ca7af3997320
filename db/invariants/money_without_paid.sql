-- A payment is never accepted while its order is not settled: paid, refunded or disputed.
SELECT p.id::text AS subject, p.order_id,
       jsonb_build_object('payment', p.gateway_payment_id, 'amount', p.amount, 'currency', p.currency,
                          'order_status', o.status) AS evidence
  FROM payments p LEFT JOIN orders o ON o.id = p.order_id
 WHERE p.standing = 'accepted' AND (o.id IS NULL OR o.status NOT IN ('paid', 'refunded', 'disputed'))
