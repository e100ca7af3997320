-- A subscription never gives access without a trial or a paid invoice whose money still pays for its period.
SELECT s.id::text AS subject, s.order_id,
       jsonb_build_object('status', s.status, 'reason', e.reason, 'until', e.until) AS evidence
  FROM entitlements e JOIN subscriptions s ON s.id = e.subscription_id
 WHERE e.active AND s.trial_end IS NULL
   AND NOT EXISTS (SELECT FROM invoices i WHERE i.subscription_id = s.id AND i.status = 'paid' AND i.taken_back IS NULL)
