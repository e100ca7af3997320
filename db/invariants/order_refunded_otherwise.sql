-- The refunded amount of an order is always what its payments say.
-- Of those that count it is what went back beyond all that was taken above the price, and whatever went back by policy.
SELECT o.id::text AS subject, o.id AS order_id,
       jsonb_build_object('says', o.amount_refunded, 'should_be', found.refunded, 'currency', o.currency) AS evidence
  FROM orders o
 CROSS JOIN LATERAL (
     SELECT greatest(0, coalesce(sum(p.amount_refunded) FILTER (WHERE p.standing <> 'returned'), 0)
                        - greatest(0, coalesce(sum(p.amount) FILTER (WHERE p.standing <> 'returned'), 0) - o.amount))
            + coalesce(sum(p.amount_refunded) FILTER (WHERE p.standing = 'returned'), 0) AS refunded
       FROM payments p
      WHERE p.order_id = o.id AND p.currency = o.currency
        AND p.standing IN ('accepted', 'surplus', 'returned')) AS found
 WHERE o.amount_refunded <> found.refunded
