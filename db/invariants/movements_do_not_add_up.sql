-- The movements of a payment always add up to what it took, less what went back and what its disputes have, fees aside.
-- All of them are in its currency.
SELECT p.id::text AS subject, p.order_id,
       jsonb_build_object('payment', p.gateway_payment_id, 'currency', p.currency, 'booked', booked.net,
                          'taken', taken.amount, 'refunded', gone.refunded, 'disputed', held.disputed) AS evidence
  FROM payments p
 CROSS JOIN LATERAL (SELECT CASE WHEN p.status = 'succeeded' THEN p.amount ELSE 0 END AS amount) AS taken
 CROSS JOIN LATERAL (
     SELECT coalesce(sum(m.amount) FILTER (WHERE m.currency = p.currency), 0) AS net,
            bool_or(m.currency <> p.currency) AS is_mixed
       FROM movements m
      WHERE m.payment_id = p.id
        AND m.kind IN ('payment', 'refund', 'refund_reversal', 'dispute', 'dispute_reversal')) AS booked
 CROSS JOIN LATERAL (
     SELECT coalesce(sum(r.amount), 0) AS refunded FROM refunds r
      WHERE r.payment_id = p.id AND r.status = 'succeeded') AS gone
 CROSS JOIN LATERAL (
     SELECT coalesce(sum(d.withdrawn - least(d.withdrawn, d.reinstated)), 0) AS disputed FROM disputes d WHERE d.payment_id = p.id) AS held
 WHERE booked.net <> taken.amount - gone.refunded - held.disputed OR booked.is_mixed
