-- Money that was taken and does not count never stands without a discrepancy that told a person so.
SELECT p.id::text AS subject, p.order_id,
       jsonb_build_object('payment', p.gateway_payment_id, 'amount', p.amount, 'currency', p.currency,
                          'standing', p.standing) AS evidence
  FROM payments p
 WHERE p.standing IN ('surplus', 'mismatched', 'held')
   AND NOT EXISTS (SELECT FROM discrepancies d WHERE d.payment_id = p.id AND d.kind NOT LIKE 'invariant\_%')
