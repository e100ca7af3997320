-- What it takes to tell everything in its order: when it was written, in real time, and the gateways' names of our calls.

-- The time of the transaction, which all that it wrote has in common. Lines that are older than this column have none.
ALTER TABLE history ADD COLUMN written_at timestamptz;
ALTER TABLE history ALTER COLUMN written_at SET DEFAULT now();
ALTER TABLE movements ADD COLUMN written_at timestamptz;
ALTER TABLE movements ALTER COLUMN written_at SET DEFAULT now();

-- Every attempt at calling a gateway for a row of ours: `request_id` is what the gateway's support asks for.
CREATE TABLE gateway_calls (
    id           uuid PRIMARY KEY,
    source       text        NOT NULL CHECK (source IN ('payment_attempt', 'subscription_request', 'effect', 'order')),
    source_id    uuid        NOT NULL,  -- of an order: recovery, or a poll, has looked at it
    gateway      text        NOT NULL,
    operation    text        NOT NULL,
    outcome      text        NOT NULL,  -- answered, gone, why it was refused, or why nobody knows
    request_id   text,
    milliseconds integer     NOT NULL,
    at           timestamptz NOT NULL  -- real time, of the end of the call
);

CREATE INDEX gateway_calls_of_source ON gateway_calls (source, source_id);
CREATE INDEX gateway_calls_by_age ON gateway_calls (at);

CREATE INDEX discrepancies_of_order ON discrepancies (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX discrepancies_of_subscription ON discrepancies (subscription_id) WHERE subscription_id IS NOT NULL;

-- Every name in an operator's act: what it was about, and whose state it tells before and after.
CREATE FUNCTION named_in_act(target jsonb, before jsonb, after jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT name), '{}') FROM (
        SELECT jsonb_object_keys(told) AS name
          FROM unnest(ARRAY[before, after]) AS told WHERE jsonb_typeof(told) = 'object'
        UNION ALL
        SELECT jsonb_object_keys(value)
          FROM jsonb_each(CASE jsonb_typeof(target) WHEN 'object' THEN target END) WHERE jsonb_typeof(value) = 'object'
        UNION ALL
        SELECT value #>> '{}'
          FROM jsonb_each(CASE jsonb_typeof(target) WHEN 'object' THEN target END) WHERE jsonb_typeof(value) = 'string'
        UNION ALL
        SELECT each #>> '{}'
          FROM jsonb_each(CASE jsonb_typeof(target) WHEN 'object' THEN target END),
               jsonb_array_elements(CASE jsonb_typeof(value) WHEN 'array' THEN value END) AS each
         WHERE jsonb_typeof(each) = 'string'
    ) AS named
$$;

CREATE INDEX operator_actions_by_name ON operator_actions USING gin (named_in_act(target, before, after));
