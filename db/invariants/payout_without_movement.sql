-- A payout that was paid is always booked; and so is its return, where one that was booked has failed.
SELECT p.id::text AS subject, NULL::uuid AS order_id,
       jsonb_build_object('payout', p.gateway_payout_id, 'status', p.status, 'amount', p.amount,
                          'currency', p.currency) AS evidence
  FROM payouts p
 CROSS JOIN LATERAL (
     SELECT coalesce(bool_or(m.kind = 'payout'), false) AS gone, coalesce(bool_or(m.kind = 'payout_reversal'), false) AS back
       FROM movements m WHERE m.payout_id = p.id) AS booked
 WHERE (p.status = 'paid' AND NOT booked.gone) OR booked.back <> (p.status = 'failed' AND booked.gone)
