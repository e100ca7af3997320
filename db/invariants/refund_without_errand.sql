-- A refund that is asked for, or sent and unanswered, always has an errand that is owed, or dead for a person to see.
SELECT r.id::text AS subject, r.order_id,
       jsonb_build_object('refund', r.id, 'status', r.status, 'gateway', r.gateway, 'amount', r.amount,
                          'currency', r.currency, 'errand', e.status) AS evidence
  FROM refunds r LEFT JOIN effects e ON e.idempotency_key = 'gateway.refund_payment:' || r.id
 WHERE r.status IN ('requested', 'sent') AND r.updated_at < now() - interval '1 hour'
   AND (e.status IS NULL OR e.status = 'sent')
