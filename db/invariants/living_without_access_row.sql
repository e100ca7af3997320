-- A subscription that has begun never lacks the row that says what it gives, and why.
SELECT s.id::text AS subject, s.order_id, jsonb_build_object('status', s.status) AS evidence
  FROM subscriptions s
 WHERE s.status IN ('trialing', 'active', 'past_due', 'paused', 'unpaid')
   AND NOT EXISTS (SELECT FROM entitlements e WHERE e.subscription_id = s.id)
