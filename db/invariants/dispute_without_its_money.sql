-- A dispute has always kept what its status says: a lost one some of what was withdrawn, a won one nothing.
-- Of those alone whose gateway tells it by nothing else; all that is not kept is back.
SELECT d.id::text AS subject, d.order_id,
       jsonb_build_object('dispute', d.gateway_dispute_id, 'status', d.status, 'withdrawn', d.withdrawn,
                          'reinstated', d.reinstated, 'kept', d.kept) AS evidence
  FROM disputes d
 WHERE d.kept IS NOT NULL
   AND (d.reinstated <> greatest(0, d.withdrawn - d.kept)
        OR (d.status = 'lost' AND d.kept = 0 AND d.withdrawn > 0)
        OR (d.status = 'won' AND d.kept > 0))
