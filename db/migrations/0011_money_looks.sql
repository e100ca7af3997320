-- Money that is on its way back, and disputes that are not over, are looked at by recovery, as orders are.

ALTER TABLE refunds
    ADD looks        integer     NOT NULL DEFAULT 0,
    ADD next_look_at timestamptz NOT NULL DEFAULT '-infinity';  -- business time

ALTER TABLE disputes
    ADD looks        integer     NOT NULL DEFAULT 0,
    ADD next_look_at timestamptz NOT NULL DEFAULT '-infinity';  -- business time

CREATE INDEX refunds_to_look_at ON refunds (next_look_at) WHERE status IN ('requested', 'sent', 'pending');
CREATE INDEX disputes_to_look_at ON disputes (next_look_at) WHERE status NOT IN ('won', 'lost', 'closed');
