-- Under which price a gateway's catalogue shows a plan. A price that changes is another row; the old one stays, since
-- what was sold under it is still billed by it.

CREATE TABLE plan_prices (
    gateway    text        NOT NULL,
    price_id   text        NOT NULL,  -- the gateway's
    product_id text        NOT NULL,  -- the gateway's
    plan_id    text        NOT NULL REFERENCES plans,
    amount     bigint      NOT NULL CHECK (amount >= 0),
    currency   text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    interval   text        CHECK (interval IN ('month', 'year')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gateway, price_id)
);

CREATE INDEX plan_prices_of_plan ON plan_prices (plan_id, gateway);
