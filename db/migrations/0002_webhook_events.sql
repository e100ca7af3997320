-- What the gateways told us: the events, the keys that recognise a repeat, and those that wait for an order.

-- Partitioned by id, a UUIDv7 that begins with the time of receipt: retention drops a month's partition, never deletes
-- rows, and a look-up by id touches one partition. Uniqueness therefore lives in webhook_keys (docs/decisions/0004).
CREATE TABLE webhook_events (
    id                 uuid        NOT NULL,
    gateway            text        NOT NULL,
    account            text        NOT NULL DEFAULT '',  -- the gateway's account named in the body; '' is our own
    livemode           boolean,  -- null where the body does not say (Razorpay)
    event_id           text        NOT NULL,  -- the gateway's id, or sha256:<hex> where it gave none
    event_type         text        NOT NULL,
    api_version        text,
    status             text        NOT NULL DEFAULT 'received'
                       CHECK (status IN ('received', 'retry', 'done', 'ignored', 'dead')),
    reason             text,  -- why it was ignored, or what became of it
    payload            jsonb,  -- derived from payload_raw; null where jsonb cannot hold it (\u0000, lone surrogates)
    payload_raw        bytea       NOT NULL,  -- the exact bytes: the evidence
    payload_hash       text        NOT NULL,  -- hex SHA-256 of those bytes
    signature_headers  jsonb       NOT NULL DEFAULT '{}',
    secret_id          text,  -- fingerprint of the secret that verified it, so that an old one can be retired on evidence
    gateway_created_at timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),  -- received; real time, like everything in this table
    deliveries         integer     NOT NULL DEFAULT 1,
    last_delivery_at   timestamptz NOT NULL DEFAULT now(),
    processed          boolean     GENERATED ALWAYS AS (status = 'done') STORED,
    processed_at       timestamptz,
    retry_count        integer     NOT NULL DEFAULT 0,
    next_attempt_at    timestamptz DEFAULT now(),  -- owed from then on; null once nothing is owed
    next_hint_at       timestamptz DEFAULT now(),  -- when the sweep reminds the queue of it again
    error_class        text,
    last_error         text,
    PRIMARY KEY (id),
    CONSTRAINT owed_or_finished CHECK ((status IN ('received', 'retry')) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT processed_at_when_done CHECK ((status = 'done') = (processed_at IS NOT NULL)),
    CONSTRAINT ignored_says_why CHECK (status <> 'ignored' OR reason IS NOT NULL)
) PARTITION BY RANGE (id);

-- Ingest never fails for want of a partition; db.partitions makes the months ahead.
CREATE TABLE webhook_events_default PARTITION OF webhook_events DEFAULT;

-- The sweep reads what is owed and late; nearly all rows are finished and not in it.
CREATE INDEX webhook_events_owed ON webhook_events (next_hint_at) WHERE status IN ('received', 'retry');
-- Workers read what has been owed for long, where hints do not reach them.
CREATE INDEX webhook_events_waiting ON webhook_events (next_attempt_at) WHERE status IN ('received', 'retry');
CREATE INDEX webhook_events_by_event_id ON webhook_events (event_id);
CREATE INDEX webhook_events_dead ON webhook_events (created_at) WHERE status = 'dead';

-- The dedupe keys outlive payloads: a gateway may resend after 30 days what we pruned (F61). Both keys are unique,
-- since Razorpay's event id is an unsigned header that a replay can change (F12).
CREATE TABLE webhook_keys (
    gateway          text        NOT NULL,
    account          text        NOT NULL,
    livemode         boolean,
    event_key        text        NOT NULL,  -- the gateway's event id, or sha256:<hex>
    payload_hash     text        NOT NULL,
    webhook_event_id uuid        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT one_row_per_event UNIQUE NULLS NOT DISTINCT (gateway, account, livemode, event_key),
    CONSTRAINT one_row_per_body UNIQUE (gateway, payload_hash)
);

-- A repeat wakes what is not done: dedupe is on done, never on seen (F2). A dead event too: who resends it wants it.
CREATE FUNCTION is_wakeable(status text, reason text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT status IN ('received', 'retry', 'dead') OR (status = 'ignored' AND reason = 'unmatched')
$$;

-- jsonb refuses what JSON allows. The bytes are kept whatever happens; the derived column may stay empty.
CREATE FUNCTION jsonb_or_null(raw bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(raw, 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- Every gateway object that we know to belong to an order: sessions, payment links, gateway orders, payments.
CREATE TABLE gateway_references (
    gateway    text        NOT NULL,
    reference  text        NOT NULL,
    order_id   uuid        NOT NULL REFERENCES orders,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, reference)
);

CREATE INDEX gateway_references_of_order ON gateway_references (order_id);

-- Events about an object that we do not know (yet), by each name the event gives for it.
CREATE TABLE unmatched_references (
    reference        text        NOT NULL,
    webhook_event_id uuid        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reference, webhook_event_id)
);

-- Both who parks an event and who stores a reference lock the reference's name first: whoever comes second sees the
-- other's row. Without it, a look-up and an insert could pass each other, and the event would wait for ever.
-- Sorted, so that two transactions with several names cannot wait for each other.
CREATE FUNCTION lock_references(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT DISTINCT n COLLATE "C" AS n FROM unnest(names) AS n WHERE n IS NOT NULL ORDER BY n LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended(name, 20260301));
    END LOOP;
END $$;

-- With its owner's rights: an application that inserts an order needs none on what waits for it.
CREATE FUNCTION wake_unmatched(names text[]) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM lock_references(names);
    WITH found AS (
        DELETE FROM unmatched_references WHERE reference = ANY (names) RETURNING webhook_event_id
    )
    UPDATE webhook_events
       SET status = 'retry', reason = NULL, next_attempt_at = now(), next_hint_at = now()
     WHERE id IN (SELECT webhook_event_id FROM found) AND status = 'ignored' AND reason = 'unmatched';
END $$;

-- In triggers, so that no code path that stores a reference can forget to wake what waited for it.
CREATE FUNCTION wake_by_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wake_unmatched(ARRAY ['order:' || NEW.id, NEW.session_id, NEW.payment_intent_id]);
    RETURN NULL;
END $$;

CREATE TRIGGER orders_wake_unmatched AFTER INSERT ON orders
    FOR EACH ROW EXECUTE FUNCTION wake_by_order();
CREATE TRIGGER orders_wake_unmatched_later AFTER UPDATE OF session_id, payment_intent_id ON orders
    FOR EACH ROW WHEN (OLD.session_id IS DISTINCT FROM NEW.session_id
                       OR OLD.payment_intent_id IS DISTINCT FROM NEW.payment_intent_id)
    EXECUTE FUNCTION wake_by_order();

CREATE FUNCTION wake_by_reference() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wake_unmatched(ARRAY [NEW.reference]);
    RETURN NULL;
END $$;

CREATE TRIGGER gateway_references_wake_unmatched AFTER INSERT ON gateway_references
    FOR EACH ROW EXECUTE FUNCTION wake_by_reference();

CREATE FUNCTION wake_by_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wake_unmatched(ARRAY [NEW.gateway_payment_id]);
    RETURN NULL;
END $$;

CREATE TRIGGER payments_wake_unmatched AFTER INSERT ON payments
    FOR EACH ROW WHEN (NEW.order_id IS NOT NULL) EXECUTE FUNCTION wake_by_payment();
