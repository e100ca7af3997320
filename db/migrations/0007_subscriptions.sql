-- Subscriptions over billing cycles: what is subscribed, every invoice, the gateway's customer, and what we ask of it.

-- Somebody may hold several subscriptions of such a plan (seats, say); of any other plan, one that has not ended.
ALTER TABLE plans ADD COLUMN many boolean NOT NULL DEFAULT false;

-- One customer per user and gateway: the intent is a row before the call, with the key that every repeat of it bears.
CREATE TABLE gateway_customers (
    user_id         text        NOT NULL REFERENCES users,
    gateway         text        NOT NULL,
    idempotency_key text        NOT NULL UNIQUE,
    customer_id     text,  -- the gateway's; null until it has said so
    calling_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a lease in real time: somebody is calling now
    calls           integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- The customer is not unique: Razorpay gives two users of one address the same (fail_existing=0).
    PRIMARY KEY (user_id, gateway)
);

-- Whatever holds for payments.subscription.MOVES; a test compares.
INSERT INTO moves
SELECT 'subscription', was, became
  FROM unnest('{incomplete,trialing,active,past_due,paused,unpaid}'::text[]) AS was,
       unnest('{trialing,active,past_due,paused,unpaid,cancelled,expired}'::text[]) AS became
 WHERE was <> became;

CREATE TABLE subscriptions (
    id                      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id                 text        NOT NULL REFERENCES users,
    order_id                uuid        UNIQUE REFERENCES orders,  -- the order that began it, by which its events find it
    gateway                 text,
    gateway_subscription_id text        UNIQUE,  -- null until the gateway makes it
    gateway_customer_id     text,
    plan_id                 text        REFERENCES plans,
    status                  text        NOT NULL DEFAULT 'incomplete' CHECK (status IN (
                                'incomplete', 'trialing', 'active', 'past_due', 'paused', 'unpaid',
                                'cancelled', 'expired')),
    current_period_start    timestamptz,
    current_period_end      timestamptz,
    trial_days              integer     NOT NULL DEFAULT 0,  -- frozen from its plan when it was begun
    trial_end               timestamptz,
    cancel_at_period_end    boolean     NOT NULL DEFAULT false,
    ends_at                 timestamptz,  -- it is set to end then
    cancelled_at            timestamptz,  -- when it was told to end, or ended without being told
    ended_at                timestamptz,
    price_id                text,         -- the gateway's, by which it is billed
    has_pending_change      boolean     NOT NULL DEFAULT false,  -- waits for its payment, or for the period's end
    pending_plan_id         text        REFERENCES plans,
    told_at                 timestamptz,  -- the gateway's second of the snapshot that is in this row
    is_settled              boolean     NOT NULL DEFAULT false,  -- that snapshot was read at the gateway, not told
    version                 bigint      NOT NULL DEFAULT 0,  -- a read that began before another write is thrown away
    exclusive               boolean     NOT NULL DEFAULT true,  -- frozen from its plan: see plans.many
    next_step_at            timestamptz,  -- business time: when our clock has something to do with it
    looks                   integer     NOT NULL DEFAULT 0,  -- how often recovery has asked its gateway about it
    next_look_at            timestamptz NOT NULL DEFAULT '-infinity',  -- business time: and when it may ask again
    created_at              timestamptz NOT NULL DEFAULT now(),  -- business time
    updated_at              timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT an_end_says_when CHECK ((status IN ('cancelled', 'expired')) = (ended_at IS NOT NULL))
);

-- Two clicks of one moment cannot subscribe somebody twice.
CREATE UNIQUE INDEX one_open_subscription_per_plan ON subscriptions (user_id, plan_id)
    WHERE exclusive AND status NOT IN ('cancelled', 'expired');
CREATE INDEX subscriptions_of_user ON subscriptions (user_id, created_at DESC);
CREATE INDEX subscriptions_with_a_step ON subscriptions (next_step_at) WHERE next_step_at IS NOT NULL;

CREATE FUNCTION refuse_illegal_subscription_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM moves WHERE subject = 'subscription' AND from_status = OLD.status AND to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'subscription % may not move from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'subscriptions_move_is_legal';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER subscriptions_move_is_legal BEFORE UPDATE OF status ON subscriptions
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_subscription_move();

CREATE TABLE invoices (
    id                     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id        uuid        NOT NULL REFERENCES subscriptions,
    gateway                text        NOT NULL,
    gateway_invoice_id     text        NOT NULL,
    number                 text,
    status                 text        NOT NULL CHECK (status IN ('draft', 'open', 'uncollectible', 'void', 'paid')),
    reason                 text        NOT NULL CHECK (reason IN ('first', 'renewal', 'change', 'other')),
    amount                 bigint      NOT NULL CHECK (amount >= 0),  -- what it asks for
    amount_paid            bigint      NOT NULL DEFAULT 0 CHECK (amount_paid >= 0),
    currency               text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    period_start           timestamptz,  -- of its subscription lines that are no proration
    period_end             timestamptz,
    hosted_url             text,
    attempts               integer     NOT NULL DEFAULT 0,  -- billing attempts at the gateway
    next_attempt_at        timestamptz,
    failing_since          timestamptz,  -- business time
    failure_code           text,
    failure_gateway_reason text,
    advice                 text        CHECK (advice IN ('try_again_later', 'confirm_card_data', 'do_not_try_again')),
    paid_at                timestamptz,  -- business time
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gateway, gateway_invoice_id),
    CONSTRAINT paid_says_when CHECK ((status = 'paid') = (paid_at IS NOT NULL))
);

CREATE INDEX invoices_of_subscription ON invoices (subscription_id, created_at DESC);

ALTER TABLE payments ADD FOREIGN KEY (invoice_id) REFERENCES invoices;
CREATE INDEX payments_of_invoice ON payments (invoice_id) WHERE invoice_id IS NOT NULL;
-- The same promise as for orders: an invoice is paid by one payment; further money of it is surplus.
CREATE UNIQUE INDEX one_accepted_payment_per_invoice ON payments (invoice_id) WHERE standing = 'accepted';

ALTER TABLE entitlements ADD FOREIGN KEY (subscription_id) REFERENCES subscriptions;
-- Business time: when it ends without another word, grace included. A renewal is told an hour after `until`, and whoever
-- asks in between, or while our clock is down, must not find the door shut.
ALTER TABLE entitlements ADD COLUMN lapses_at timestamptz;
ALTER TABLE effects ADD FOREIGN KEY (subscription_id) REFERENCES subscriptions;
CREATE INDEX effects_of_subscription ON effects (subscription_id) WHERE subscription_id IS NOT NULL;
ALTER TABLE discrepancies ADD COLUMN subscription_id uuid REFERENCES subscriptions;

-- What was asked of a subscription: the intent before the call, its outcome after. One at a time.
CREATE TABLE subscription_requests (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid        NOT NULL REFERENCES subscriptions,
    kind            text        NOT NULL CHECK (kind IN ('cancel', 'pause', 'resume', 'change_plan')),
    request         jsonb       NOT NULL,  -- frozen whole: a replayed key must meet the same request
    idempotency_key text        NOT NULL UNIQUE,
    asked_by        text        NOT NULL,
    status          text        NOT NULL DEFAULT 'intended' CHECK (status IN ('intended', 'unknown', 'done', 'refused')),
    calling_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a lease in real time: somebody is calling now
    calls           integer     NOT NULL DEFAULT 0,
    error           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX one_live_request_per_subscription ON subscription_requests (subscription_id)
    WHERE status IN ('intended', 'unknown');
CREATE INDEX subscription_requests_unsettled ON subscription_requests (updated_at) WHERE status IN ('intended', 'unknown');
