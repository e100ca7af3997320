-- Who bought what: users, plans, orders and the moves an order may make.

CREATE TABLE users (
    id                 text PRIMARY KEY,  -- the application's own user id, the `sub` of its tokens
    email              text,
    stripe_customer_id text UNIQUE,
    created_at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE plans (
    id          text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    name        text        NOT NULL,
    description text        NOT NULL DEFAULT '',
    price_cents bigint      NOT NULL CHECK (price_cents >= 0),  -- minor units, whatever the currency
    currency    text        NOT NULL DEFAULT 'usd' CHECK (currency ~ '^[a-z]{3}$'),
    interval    text        CHECK (interval IN ('month', 'year')),  -- null: sold once
    trial_days  integer     NOT NULL DEFAULT 0 CHECK (trial_days >= 0),
    gateways    text[]      NOT NULL DEFAULT '{stripe,razorpay}',
    active      boolean     NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The legal moves of every subject, said here a second time: payments.order.MOVES holds the same pairs and a test
-- compares them. History points here with a foreign key, so that no line of it can tell an illegal move.
CREATE TABLE moves (
    subject     text NOT NULL,
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (subject, from_status, to_status)
);

INSERT INTO moves VALUES
    ('order', 'pending', 'paid'), ('order', 'pending', 'failed'), ('order', 'pending', 'cancelled'),
    ('order', 'failed', 'paid'), ('order', 'failed', 'refunded'),
    ('order', 'cancelled', 'paid'), ('order', 'cancelled', 'refunded'),
    ('order', 'paid', 'refunded'), ('order', 'refunded', 'paid'),
    ('order', 'paid', 'disputed'), ('order', 'disputed', 'paid'),
    ('order', 'refunded', 'disputed'), ('order', 'disputed', 'refunded');

CREATE TABLE orders (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id           text        NOT NULL REFERENCES users,
    plan_id           text        REFERENCES plans,
    amount            bigint      NOT NULL CHECK (amount >= 0),  -- what is expected, in minor units; 0 is a free order
    currency          text        NOT NULL DEFAULT 'usd' CHECK (currency ~ '^[a-z]{3}$'),
    status            text        NOT NULL DEFAULT 'pending'
                      CHECK (status IN ('pending', 'paid', 'failed', 'refunded', 'cancelled', 'disputed')),
    gateway           text,  -- null until a gateway is involved
    session_id        text UNIQUE,  -- the hosted page that is open now, or was last
    payment_intent_id text UNIQUE,  -- the gateway payment that paid the order
    refund_id         text,
    amount_refunded   bigint      NOT NULL DEFAULT 0 CHECK (amount_refunded >= 0),
    failure_reason    text,  -- a payments.failure.FailureCode; the last declined attempt, shown while pending too
    created_at        timestamptz NOT NULL DEFAULT now(),
    paid_at           timestamptz,  -- business time
    updated_at        timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_of_user ON orders (user_id, created_at DESC);
-- Recovery asks for the pending ones only, and they are few among many.
CREATE INDEX orders_pending ON orders (created_at) WHERE status = 'pending';

-- A move that `moves` does not list cannot be written, by whichever code or hand.
CREATE FUNCTION refuse_illegal_order_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM moves WHERE subject = 'order' AND from_status = OLD.status AND to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'order % may not move from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_move_is_legal';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_move_is_legal BEFORE UPDATE OF status ON orders
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_order_move();

-- Every gateway payment is a row of its own: an order may see several attempts, and a second capture.
CREATE TABLE payments (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    gateway                text        NOT NULL,
    gateway_payment_id     text        NOT NULL,
    order_id               uuid        REFERENCES orders,
    invoice_id             uuid,
    amount                 bigint      NOT NULL CHECK (amount >= 0),
    currency               text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status                 text        NOT NULL
                           CHECK (status IN ('pending', 'failed', 'cancelled', 'authorised', 'succeeded')),
    standing               text        CHECK (standing IN ('accepted', 'surplus', 'mismatched', 'held')),
    amount_refunded        bigint      NOT NULL DEFAULT 0,
    failure_code           text,
    failure_gateway_reason text,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gateway, gateway_payment_id),
    CONSTRAINT never_refunded_beyond_what_was_taken CHECK (amount_refunded BETWEEN 0 AND amount),
    CONSTRAINT standing_is_known_once_succeeded CHECK ((status = 'succeeded') = (standing IS NOT NULL))
);

CREATE INDEX payments_of_order ON payments (order_id);
-- The second telling of "paid means paid": one order is paid by one payment; all further money is surplus.
CREATE UNIQUE INDEX one_accepted_payment_per_order ON payments (order_id) WHERE standing = 'accepted';

-- What the user may use. One per order; access is a row that says why, not a status read elsewhere.
CREATE TABLE entitlements (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         text        NOT NULL REFERENCES users,
    plan_id         text        REFERENCES plans,
    order_id        uuid        UNIQUE REFERENCES orders,
    subscription_id uuid        UNIQUE,
    active          boolean     NOT NULL,
    until           timestamptz,  -- business time; null: no end
    reason          text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX entitlements_of_user ON entitlements (user_id);
