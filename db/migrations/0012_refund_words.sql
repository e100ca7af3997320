-- What a refund was asked in: a repeat says the same words, though its payment has found its order meanwhile, or this
-- installation goes by another name.

ALTER TABLE refunds
    ADD sent_by  text,  -- the instance that asked first; null: asked of nobody yet, or before these words were kept
    ADD sent_for uuid;  -- the order that was named then
