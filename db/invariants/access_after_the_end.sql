-- A subscription that has ended never gives access beyond its end.
-- Razorpay tells the end of the last cycle when that cycle begins.
SELECT s.id::text AS subject, s.order_id,
       jsonb_build_object('status', s.status, 'ended_at', s.ended_at, 'reason', e.reason, 'until', e.until) AS evidence
  FROM entitlements e JOIN subscriptions s ON s.id = e.subscription_id
 WHERE e.active AND s.status IN ('cancelled', 'expired')
   AND NOT coalesce(s.status = 'expired' AND e.until <= s.ended_at, false)
