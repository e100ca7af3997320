-- A settled order always stands as its payments, their refunds and their disputes make it: paid, refunded or disputed.
-- Of one that nothing was due for, or whose payment has no name yet, they say nothing; what went back by policy made it
-- refunded for good.
SELECT o.id::text AS subject, o.id AS order_id,
       jsonb_build_object('status', o.status, 'should_be', found.status, 'refunded', o.amount_refunded) AS evidence
  FROM orders o
 CROSS JOIN LATERAL (
     SELECT CASE WHEN NOT coalesce(bool_or(p.standing = 'accepted'), false) THEN
                      CASE WHEN o.status = 'paid' OR bool_or(p.standing = 'returned') THEN o.status ELSE 'paid' END
                 WHEN bool_or(p.standing <> 'returned' AND p.amount_refunded < p.amount AND NOT held.so) THEN 'paid'
                 WHEN bool_or(p.standing <> 'returned' AND held.so) THEN 'disputed'
                 ELSE 'refunded' END AS status
       FROM payments p
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id AND holds_money(d)) AS so) AS held
      WHERE p.order_id = o.id AND p.standing IN ('accepted', 'surplus', 'returned')) AS found
 WHERE o.status IN ('paid', 'refunded', 'disputed') AND o.status <> found.status
