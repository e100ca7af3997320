-- A dead letter is never open while its event or effect lives, or is gone.
SELECT l.id::text AS subject, l.order_id,
       jsonb_build_object('source', l.source, 'source_id', l.source_id,
                          'status', coalesce(e.status, f.status)) AS evidence
  FROM dead_letters l
  LEFT JOIN webhook_events e ON e.id = CASE WHEN l.source = 'webhook_event' THEN l.source_id::uuid END
  LEFT JOIN effects f ON f.id = CASE WHEN l.source = 'effect' THEN l.source_id::uuid END
 WHERE l.state = 'open' AND l.source <> 'message' AND coalesce(e.status, f.status, 'gone') <> 'dead'
