-- How work is done, undone and done again: attempts with their errors, dead letters, paused queues, periodic jobs, and
-- what operators did.

-- A retry that a person asks for is a new life of the same row: counters begin anew, what happened before stays told.
ALTER TABLE webhook_events
    ADD epoch      integer NOT NULL DEFAULT 0,
    ADD queue      text    NOT NULL DEFAULT 'webhooks' CHECK (queue IN ('webhooks', 'bulk')),
    ADD hint_count integer NOT NULL DEFAULT 0,  -- how often the sweep has repeated its hint in this life
    ADD begun      integer NOT NULL DEFAULT 0,  -- attempts begun since the last one that came to an end
    ADD crashes    integer NOT NULL DEFAULT 0,  -- processes it has ended while it was alone in them
    ADD source     text    NOT NULL DEFAULT 'webhook' CHECK (source IN ('webhook', 'backfill')),
    ADD order_id   uuid;  -- the order that it was found to concern, whether or not it moved it

-- What no webhook has told us, so far: few, and looked at to learn whether a gateway still tells us anything.
CREATE INDEX webhook_events_backfilled ON webhook_events (created_at) WHERE source = 'backfill';
CREATE INDEX history_by_reconciliation ON history (id) WHERE cause = 'reconciliation';
-- What one event has moved: asked by whoever studies it.
CREATE INDEX history_by_event ON history (cause_id) WHERE cause = 'webhook_event';
-- What one order was told.
CREATE INDEX webhook_events_of_order ON webhook_events (order_id, id) WHERE order_id IS NOT NULL;

ALTER TABLE effects
    ADD epoch   integer NOT NULL DEFAULT 0,
    ADD queue   text    NOT NULL DEFAULT 'effects' CHECK (queue IN ('effects', 'bulk')),
    ADD begun   integer NOT NULL DEFAULT 0,
    ADD crashes integer NOT NULL DEFAULT 0;

-- Each queue finds its own, so that a paused or a long one costs the others nothing.
DROP INDEX webhook_events_owed, webhook_events_waiting, effects_owed, effects_waiting;
CREATE INDEX webhook_events_owed ON webhook_events (queue, next_hint_at) WHERE status IN ('received', 'retry');
CREATE INDEX webhook_events_waiting ON webhook_events (queue, next_attempt_at) WHERE status IN ('received', 'retry');
CREATE INDEX effects_owed ON effects (queue, next_hint_at) WHERE status = 'pending';
CREATE INDEX effects_waiting ON effects (queue, next_attempt_at) WHERE status = 'pending';

-- Whoever revives a dead row (a person's retry, a redelivery) begins a new life with it: counters of the old one would
-- bury it at its first failure. In triggers, so that no path can forget. It stays in the queue that it was last put in.
CREATE FUNCTION begin_new_life_of_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.epoch := OLD.epoch + 1;
    NEW.retry_count := 0; NEW.hint_count := 0; NEW.begun := 0; NEW.crashes := 0;
    RETURN NEW;
END $$;

CREATE TRIGGER webhook_events_begin_new_life BEFORE UPDATE OF status ON webhook_events
    FOR EACH ROW WHEN (OLD.status = 'dead' AND NEW.status IN ('received', 'retry'))
    EXECUTE FUNCTION begin_new_life_of_event();

CREATE FUNCTION begin_new_life_of_effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.epoch := OLD.epoch + 1;
    NEW.attempts := 0; NEW.begun := 0; NEW.crashes := 0;
    RETURN NEW;
END $$;

CREATE TRIGGER effects_begin_new_life BEFORE UPDATE OF status ON effects
    FOR EACH ROW WHEN (OLD.status = 'dead' AND NEW.status = 'pending') EXECUTE FUNCTION begin_new_life_of_effect();

-- Every attempt that did not simply succeed at the first try; the row itself tells that one.
CREATE TABLE work_attempts (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source      text        NOT NULL CHECK (source IN ('webhook_event', 'effect')),
    source_id   uuid        NOT NULL,
    epoch       integer     NOT NULL,
    worker      text        NOT NULL,  -- host:pid
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    outcome     text        NOT NULL CHECK (outcome IN ('done', 'ignored', 'sent', 'retry', 'dead', 'crashed')),
    class       text        CHECK (class IN ('transient', 'permanent', 'person', 'crash')),
    error_class text,
    error       text,
    traceback   text,
    CONSTRAINT failures_say_why CHECK ((outcome IN ('retry', 'dead', 'crashed')) = (class IS NOT NULL))
);

CREATE INDEX work_attempts_of_source ON work_attempts (source, source_id, finished_at);
CREATE INDEX work_attempts_by_age ON work_attempts (finished_at);

-- What nobody tries again until a person says so. Open ones never expire, and cannot be deleted.
CREATE TABLE dead_letters (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source        text        NOT NULL CHECK (source IN ('webhook_event', 'effect', 'message')),
    source_id     text        NOT NULL,  -- the row's id, or the message's
    epoch         integer     NOT NULL DEFAULT 0,
    queue         text        NOT NULL,
    what          text        NOT NULL,  -- the event's type, the effect's kind, or the actor's name
    gateway       text,
    order_id      uuid        REFERENCES orders,
    class         text        NOT NULL CHECK (class IN ('transient', 'permanent', 'person', 'crash')),
    error_class   text        NOT NULL,
    error         text        NOT NULL,
    fingerprint   text        NOT NULL,  -- the same for the same cause: two thousand failures are three errors
    attempts      integer     NOT NULL,
    message       jsonb,  -- of a message: its actor, arguments and options, to be sent again
    state         text        NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'discarded')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz,
    closed_by     text,
    closed_reason text,
    UNIQUE (source, source_id, epoch),
    CONSTRAINT closed_says_when_and_by_whom CHECK (
        (state = 'open') = (closed_at IS NULL) AND (state = 'open') = (closed_by IS NULL)),
    CONSTRAINT discarded_says_why CHECK (state <> 'discarded' OR closed_reason IS NOT NULL)
);

-- What died before there were letters gets its own now; one cause for each kind of error, since nobody normalised those.
-- Of a traceback its last line: that is the error.
INSERT INTO dead_letters (source, source_id, queue, what, gateway, class, error_class, error, fingerprint, attempts)
SELECT 'webhook_event', id::text, queue, event_type, gateway, 'permanent', coalesce(error_class, 'unknown'),
       coalesce(left(substring(rtrim(last_error, E' \t\r\n') FROM '[^\n]*$'), 500), ''),
       md5(event_type || ':' || coalesce(error_class, '')), retry_count
  FROM webhook_events WHERE status = 'dead'
UNION ALL
SELECT 'effect', id::text, queue, kind, NULL, 'permanent', 'unknown',
       coalesce(left(substring(rtrim(last_error, E' \t\r\n') FROM '[^\n]*$'), 500), ''), md5(kind), attempts
  FROM effects WHERE status = 'dead';

CREATE INDEX dead_letters_open ON dead_letters (created_at) WHERE state = 'open';
CREATE INDEX dead_letters_open_by_cause ON dead_letters (fingerprint) WHERE state = 'open';

CREATE FUNCTION refuse_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an open dead letter is not deleted: retry or discard it' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER open_dead_letters_stay BEFORE DELETE ON dead_letters
    FOR EACH ROW WHEN (OLD.state = 'open') EXECUTE FUNCTION refuse_forgetting();
CREATE TRIGGER dead_letters_are_not_truncated BEFORE TRUNCATE ON dead_letters
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_forgetting();

-- In triggers, so that no path that revives a dead row (a person's retry, a redelivery) leaves its letter open.
CREATE FUNCTION close_dead_letter() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE dead_letters
       SET state = 'retried', closed_at = now(), closed_by = 'redelivery'
     WHERE source = TG_ARGV[0] AND source_id = NEW.id::text AND state = 'open';
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_events_close_dead_letter AFTER UPDATE OF status ON webhook_events
    FOR EACH ROW WHEN (OLD.status = 'dead' AND NEW.status <> 'dead') EXECUTE FUNCTION close_dead_letter('webhook_event');
CREATE TRIGGER effects_close_dead_letter AFTER UPDATE OF status ON effects
    FOR EACH ROW WHEN (OLD.status = 'dead' AND NEW.status <> 'dead') EXECUTE FUNCTION close_dead_letter('effect');

-- A queue that a person has paused: what is owed there stays owed, and nobody takes it. No row: it runs.
CREATE TABLE queue_controls (
    queue     text PRIMARY KEY,
    paused_at timestamptz NOT NULL DEFAULT now(),
    until     timestamptz,  -- it runs again by itself; null: until a person resumes it
    paused_by text        NOT NULL,
    reason    text        NOT NULL
);

CREATE FUNCTION is_paused(asked text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM queue_controls WHERE queue = asked AND (until IS NULL OR until > now()))
$$;

-- Worker processes, by what they say of themselves every few seconds.
CREATE TABLE workers (
    id         uuid PRIMARY KEY,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    queues     text[]      NOT NULL,
    threads    integer     NOT NULL,
    in_hand    integer     NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    stopped_at timestamptz  -- it said good-bye
);

CREATE INDEX workers_by_age ON workers (seen_at);

-- The clock. Whoever inserts a slot fires it: the key is the lock, for any number of schedulers.
CREATE TABLE job_runs (
    job         text        NOT NULL,
    slot        timestamptz NOT NULL,
    claimed_by  text        NOT NULL,  -- host:pid
    claims      integer     NOT NULL DEFAULT 1,  -- more than one: who had claimed it died
    asked_by    text,  -- who ran it by hand; null: the clock
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text CHECK (outcome IN ('done', 'incomplete', 'failed', 'skipped')),
    detail      jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (job, slot),
    CONSTRAINT finished_says_how CHECK ((finished_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX job_runs_under_way ON job_runs (job) WHERE finished_at IS NULL;

-- An order that should have ended is asked about at its gateway, oldest first. When it was asked last, and how often,
-- stands in its row: one that stays as it is comes back ever more rarely and keeps no other from its turn.
ALTER TABLE orders
    ADD looks        integer     NOT NULL DEFAULT 0,
    ADD next_look_at timestamptz NOT NULL DEFAULT '-infinity';  -- business time, like everything about an order's age

-- Money may still come for an order that was given up in the last days.
CREATE INDEX orders_given_up ON orders (created_at) WHERE status IN ('failed', 'cancelled');
-- A page that should be over by now, and of which nobody has told us the end.
CREATE INDEX payment_attempts_open ON payment_attempts (expires_at) WHERE status = 'open';

-- A difference that is no more is closed by the clock, and opened again when it comes back; what a person has closed
-- stays closed.
ALTER TABLE discrepancies ADD closed_by text;

-- How far a list of a gateway has been read, so that the next run overlaps it a little and misses nothing.
CREATE TABLE cursors (
    name       text PRIMARY KEY,
    reached    timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Who did what by hand, and why. Append-only.
CREATE TABLE operator_actions (
    id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text        NOT NULL,
    via      text        NOT NULL CHECK (via IN ('cli', 'web', 'api')),
    action   text        NOT NULL,
    target   jsonb       NOT NULL,
    reason   text        NOT NULL CHECK (reason <> ''),
    before   jsonb,
    after    jsonb,
    batch_id uuid
);

CREATE INDEX operator_actions_by_time ON operator_actions (at);
CREATE TRIGGER operator_actions_are_append_only BEFORE UPDATE OR DELETE ON operator_actions
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER operator_actions_are_not_truncated BEFORE TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
