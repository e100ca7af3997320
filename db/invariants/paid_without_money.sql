-- An order is never paid without one accepted payment of exactly its amount and currency; a free order needs none.
-- One that began a subscription is paid by its session's word: its money comes with the first invoice, within the hour.
SELECT o.id::text AS subject, o.id AS order_id,
       jsonb_build_object('amount', o.amount, 'currency', o.currency, 'paid', (
           SELECT jsonb_agg(jsonb_build_object('payment', p.gateway_payment_id, 'amount', p.amount,
                                               'currency', p.currency, 'standing', p.standing))
             FROM payments p WHERE p.order_id = o.id AND p.status = 'succeeded')) AS evidence
  FROM orders o
 WHERE o.status = 'paid' AND o.amount > 0
   AND NOT EXISTS (SELECT FROM payments p
                    WHERE p.order_id = o.id AND p.standing = 'accepted'
                      AND p.amount = o.amount AND p.currency = o.currency)
   AND NOT EXISTS (SELECT FROM subscriptions s
                    WHERE s.order_id = o.id AND o.updated_at > now() - interval '1 hour')
