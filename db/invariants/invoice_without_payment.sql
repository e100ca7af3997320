-- An invoice whose money was taken never stays without its payment for an hour.
SELECT i.id::text AS subject, s.order_id,
       jsonb_build_object('invoice', i.gateway_invoice_id, 'amount_paid', i.amount_paid, 'currency', i.currency)
           AS evidence
  FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id
 WHERE i.status = 'paid' AND i.amount_paid > 0 AND i.updated_at < now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.status = 'succeeded')
