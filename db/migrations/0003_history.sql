-- Why everything is as it is: history with its cause, effects that must follow, and differences for a person.

-- Append-only. Partitioned like webhook_events: the id is a UUIDv7 of the real time of writing; `at` is business time.
CREATE TABLE history (
    id          uuid        NOT NULL,
    subject     text        NOT NULL CHECK (subject IN ('order', 'subscription', 'refund', 'dispute')),
    subject_id  text        NOT NULL,
    from_status text,  -- null: it began here
    to_status   text        NOT NULL,
    cause       text        NOT NULL CHECK (cause IN (
                    'webhook_event', 'api', 'effect', 'operator', 'reconciliation', 'schedule')),
    cause_id    text        NOT NULL,  -- the event's id, the caller's name, the operator's act, the run
    detail      jsonb       NOT NULL DEFAULT '{}',
    at          timestamptz NOT NULL,
    PRIMARY KEY (id),
    -- An illegal move cannot be told: from_status is null only where something began.
    CONSTRAINT history_tells_legal_moves FOREIGN KEY (subject, from_status, to_status) REFERENCES moves
) PARTITION BY RANGE (id);

CREATE TABLE history_default PARTITION OF history DEFAULT;
CREATE INDEX history_of_subject ON history (subject, subject_id, id);

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER history_is_append_only BEFORE UPDATE OR DELETE ON history
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
-- Emptying a partition fires no trigger of its parent, so that each has one of its own (db.partitions).
CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON history_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- The outbox: what must follow a move, written with the move, sent after the commit.
CREATE TABLE effects (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind            text        NOT NULL,
    order_id        uuid        REFERENCES orders,
    subscription_id uuid,
    status          text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'dead')),
    idempotency_key text        NOT NULL UNIQUE,  -- one effect per fact, whoever caused it
    detail          jsonb       NOT NULL,  -- the state it tells, frozen with the move (a late retry tells no other)
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(),
    next_hint_at    timestamptz DEFAULT now(),
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    sent_at         timestamptz,
    CONSTRAINT pending_is_owed CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT sent_says_when CHECK ((status = 'sent') = (sent_at IS NOT NULL))
);

CREATE INDEX effects_owed ON effects (next_hint_at) WHERE status = 'pending';
CREATE INDEX effects_waiting ON effects (next_attempt_at) WHERE status = 'pending';
CREATE INDEX effects_of_order ON effects (order_id);

-- Where our record and the gateway's word differ, or where only a person can decide.
CREATE TABLE discrepancies (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind            text        NOT NULL,
    gateway         text,
    order_id        uuid        REFERENCES orders,
    payment_id      uuid        REFERENCES payments,
    amount_at_risk  bigint      NOT NULL DEFAULT 0,
    currency        text,
    state           text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved', 'dismissed')),
    evidence        jsonb       NOT NULL,  -- both sides' figures
    proposed_action text        NOT NULL,
    fingerprint     text        NOT NULL UNIQUE,  -- the same difference seen again opens no second row
    created_at      timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz
);

CREATE INDEX discrepancies_open ON discrepancies (created_at) WHERE state = 'open';
