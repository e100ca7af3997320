-- A dead event or effect is never without the dead letter of this life of its: open, or closed by somebody.
SELECT d.source || ' ' || d.id AS subject, d.order_id,
       jsonb_build_object('source', d.source, 'id', d.id, 'epoch', d.epoch) AS evidence
  FROM (SELECT 'webhook_event' AS source, id, epoch, NULL::uuid AS order_id FROM webhook_events WHERE status = 'dead'
        UNION ALL SELECT 'effect', id, epoch, order_id FROM effects WHERE status = 'dead') AS d
 WHERE NOT EXISTS (SELECT FROM dead_letters l
                    WHERE l.source = d.source AND l.source_id = d.id::text AND l.epoch = d.epoch)
