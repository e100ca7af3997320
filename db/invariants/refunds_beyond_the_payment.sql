-- More never goes back of a payment than it took, and its own sums are those of its refunds.
SELECT p.id::text AS subject, p.order_id,
       jsonb_build_object('payment', p.gateway_payment_id, 'taken', p.amount, 'refunded', sums.refunded,
                          'refunding', sums.refunding, 'said_refunded', p.amount_refunded,
                          'said_refunding', p.amount_refunding) AS evidence
  FROM payments p
 CROSS JOIN LATERAL (
     SELECT coalesce(sum(r.amount) FILTER (WHERE r.status = 'succeeded'), 0) AS refunded,
            coalesce(sum(r.amount) FILTER (WHERE r.status IN ('requested', 'sent', 'pending')), 0) AS refunding
       FROM refunds r WHERE r.payment_id = p.id) AS sums
 WHERE sums.refunded + sums.refunding > p.amount
    OR (sums.refunded, sums.refunding) <> (p.amount_refunded, p.amount_refunding)
