-- Money that goes back: refunds, disputes, and the append-only sum of every movement that a gateway has confirmed.

-- Whatever holds for payments.refund.MOVES and for disputes; a test compares.
INSERT INTO moves VALUES
    ('refund', 'requested', 'sent'), ('refund', 'requested', 'pending'), ('refund', 'requested', 'succeeded'),
    ('refund', 'requested', 'failed'), ('refund', 'requested', 'cancelled'),
    ('refund', 'sent', 'pending'), ('refund', 'sent', 'succeeded'), ('refund', 'sent', 'failed'),
    ('refund', 'sent', 'cancelled'),
    ('refund', 'pending', 'succeeded'), ('refund', 'pending', 'failed'), ('refund', 'pending', 'cancelled'),
    ('refund', 'succeeded', 'failed'), ('refund', 'succeeded', 'cancelled'),
    ('refund', 'failed', 'pending'), ('refund', 'failed', 'succeeded'),
    ('refund', 'cancelled', 'pending'), ('refund', 'cancelled', 'succeeded');

INSERT INTO moves
SELECT 'dispute', was, became
  FROM unnest('{inquiry,needs_response,under_review,won,lost,closed}'::text[]) AS was,
       unnest('{inquiry,needs_response,under_review,won,lost,closed}'::text[]) AS became
 WHERE was <> became;

-- What goes back of a payment: what has gone, and what is on its way or asked for. Together never above what was taken.
ALTER TABLE payments ADD COLUMN amount_refunding bigint NOT NULL DEFAULT 0 CHECK (amount_refunding >= 0);
ALTER TABLE payments ADD CONSTRAINT never_asked_back_beyond_what_was_taken
    CHECK (amount_refunded + amount_refunding <= amount);

-- `returned`: came after we gave up, and goes back by policy.
ALTER TABLE payments DROP CONSTRAINT payments_standing_check;
ALTER TABLE payments ADD CONSTRAINT payments_standing_check
    CHECK (standing IN ('accepted', 'surplus', 'mismatched', 'held', 'returned'));

-- Its money is gone, and by policy it gives its period no more; decided when the money went.
ALTER TABLE invoices ADD COLUMN taken_back text CHECK (taken_back IN ('refunded', 'disputed'));

CREATE TABLE refunds (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id          uuid        REFERENCES orders,  -- null: of a renewal's payment, or of one that no order has
    payment_id        uuid        NOT NULL REFERENCES payments,
    gateway           text        NOT NULL,
    gateway_refund_id text,  -- null until the gateway has said it
    amount            bigint      NOT NULL CHECK (amount > 0),
    currency          text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status            text        NOT NULL CHECK (status IN (
                          'requested', 'sent', 'pending', 'succeeded', 'failed', 'cancelled')),
    reason_code       text        NOT NULL CHECK (reason_code IN (
                          'requested_by_customer', 'duplicate', 'fraudulent', 'other')),
    asked_by          text        NOT NULL,  -- api:<caller>, operator:<name>, policy:<which>, gateway
    asked_key         text,  -- what a caller's repeat is recognised by
    note              text,  -- an operator's words
    idempotency_key   text        UNIQUE,  -- ours to the gateway, the same for every repeat; null: it began there
    failure_reason    text,  -- the gateway's word, for operators
    created_at        timestamptz NOT NULL,  -- business time
    sent_at           timestamptz,  -- business time, of the first call
    settled_at        timestamptz,  -- business time
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gateway, gateway_refund_id),
    UNIQUE (asked_by, asked_key),
    CONSTRAINT what_began_here_has_a_key CHECK ((asked_by = 'gateway') = (idempotency_key IS NULL)),
    CONSTRAINT what_the_gateway_has_in_hand_has_its_name
        CHECK (status NOT IN ('pending', 'succeeded') OR gateway_refund_id IS NOT NULL),
    CONSTRAINT settled_says_when CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (settled_at IS NOT NULL))
);

CREATE INDEX refunds_of_payment ON refunds (payment_id);
CREATE INDEX refunds_of_order ON refunds (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX refunds_under_way ON refunds (created_at) WHERE status IN ('requested', 'sent', 'pending');

CREATE TABLE disputes (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id           uuid        REFERENCES orders,
    payment_id         uuid        NOT NULL REFERENCES payments,
    gateway            text        NOT NULL,
    gateway_dispute_id text        NOT NULL,
    amount             bigint      NOT NULL CHECK (amount >= 0),
    currency           text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status             text        NOT NULL CHECK (status IN (
                           'inquiry', 'needs_response', 'under_review', 'won', 'lost', 'closed')),
    gateway_status     text        NOT NULL,  -- the gateway's own word
    reason             text,
    withdrawn          bigint      NOT NULL DEFAULT 0 CHECK (withdrawn >= 0),  -- all that was ever taken from us
    reinstated         bigint      NOT NULL DEFAULT 0 CHECK (reinstated >= 0),  -- as told; what was never withdrawn never came back
    kept               bigint      CHECK (kept >= 0),  -- of that, what the bank has by this status; null: no status says
    evidence_due_at    timestamptz,
    told_at            timestamptz,  -- the gateway's second of the status that is in this row
    opened_at          timestamptz NOT NULL,  -- business time: when we heard of it
    closed_at          timestamptz,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gateway, gateway_dispute_id),
    CONSTRAINT an_end_says_when CHECK ((status IN ('won', 'lost', 'closed')) = (closed_at IS NOT NULL))
);

CREATE INDEX disputes_of_payment ON disputes (payment_id);
CREATE INDEX disputes_of_order ON disputes (order_id) WHERE order_id IS NOT NULL;

-- Of inquiries, Stripe's word says whether an answer is wanted; where no gateway says so, a day that is named is wanted.
CREATE FUNCTION waits_for_evidence(d disputes) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT d.status = 'needs_response' OR (d.status = 'inquiry' AND d.gateway_status NOT LIKE '%under_review')
$$;

CREATE INDEX disputes_that_wait_for_evidence ON disputes (evidence_due_at) WHERE status IN ('needs_response', 'inquiry');

-- Whether it has the money of its payment, or has taken it for good: payments.disputing says the same, a test compares.
CREATE FUNCTION holds_money(d disputes) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT d.status <> 'won' AND (d.withdrawn > d.reinstated OR (d.status = 'lost' AND d.withdrawn = 0))
$$;

-- Looked for whenever the money of a payment goes back, or returns to us.
CREATE INDEX discrepancies_of_payment ON discrepancies (payment_id) WHERE payment_id IS NOT NULL;

-- A renewal's payment wakes what waits for it too: a refund that overtook it, say.
DROP TRIGGER payments_wake_unmatched ON payments;
CREATE TRIGGER payments_wake_unmatched AFTER INSERT ON payments
    FOR EACH ROW EXECUTE FUNCTION wake_by_payment();

-- What a gateway pays out to our bank, and which of its parts are ours.
CREATE TABLE payouts (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    gateway           text        NOT NULL,
    gateway_payout_id text        NOT NULL,
    amount            bigint      NOT NULL,  -- signed: below 0 it takes money back
    currency          text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    status            text        NOT NULL CHECK (status IN ('pending', 'paid', 'failed')),
    arrives_at        timestamptz,
    parts             integer,  -- how many the gateway lists; null: not read yet
    parts_matched     integer,  -- how many of these are ours; the others are another application's, or the gateway's own
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gateway, gateway_payout_id)
);

-- Every movement of money that a gateway has confirmed: signed, each with its cause, never changed. What an order, a
-- gateway or a period has taken in net is their sum.
CREATE TABLE movements (
    id         uuid PRIMARY KEY,
    gateway    text        NOT NULL,
    payment_id uuid        REFERENCES payments,
    order_id   uuid        REFERENCES orders,  -- null: a renewal's, or of money that no order has
    refund_id  uuid        REFERENCES refunds,
    dispute_id uuid        REFERENCES disputes,
    payout_id  uuid        REFERENCES payouts,
    kind       text        NOT NULL CHECK (kind IN (
                   'payment', 'fee', 'refund', 'refund_reversal', 'dispute', 'dispute_reversal', 'dispute_fee',
                   'payout', 'payout_reversal')),
    amount     bigint      NOT NULL,
    currency   text        NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    cause      text        NOT NULL CHECK (cause IN (
                   'webhook_event', 'api', 'effect', 'operator', 'reconciliation', 'schedule', 'migration')),
    cause_id   text        NOT NULL,
    fact       text        NOT NULL UNIQUE,  -- what it books: the same fact, told again, books nothing
    at         timestamptz NOT NULL,  -- business time
    CONSTRAINT its_sign_is_its_kinds CHECK (
        CASE WHEN kind IN ('payment', 'refund_reversal', 'dispute_reversal') THEN amount >= 0
             WHEN kind IN ('refund', 'dispute') THEN amount <= 0
             ELSE true END)
);

CREATE INDEX movements_by_time ON movements (at, id);
CREATE INDEX movements_of_payment ON movements (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX movements_of_order ON movements (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX movements_of_refund ON movements (refund_id) WHERE refund_id IS NOT NULL;
CREATE INDEX movements_of_dispute ON movements (dispute_id) WHERE dispute_id IS NOT NULL;
CREATE INDEX movements_of_payout ON movements (payout_id) WHERE payout_id IS NOT NULL;

CREATE TRIGGER movements_are_append_only BEFORE UPDATE OR DELETE ON movements
    FOR EACH ROW EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER movements_are_not_truncated BEFORE TRUNCATE ON movements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- The money that was taken before there were movements.
INSERT INTO movements (id, gateway, payment_id, order_id, kind, amount, currency, cause, cause_id, fact, at)
SELECT gen_random_uuid(), gateway, id, order_id, 'payment', amount, currency, 'migration', '0009_refunds',
       'payment:' || id, updated_at
  FROM payments WHERE status = 'succeeded';

-- An illegal move cannot be written, by whichever code or hand.
CREATE FUNCTION refuse_illegal_money_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM moves WHERE subject = TG_ARGV[0] AND from_status = OLD.status AND to_status = NEW.status
    ) THEN
        RAISE EXCEPTION '% % may not move from % to %', TG_ARGV[0], OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0] || 's_move_is_legal';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER refunds_move_is_legal BEFORE UPDATE OF status ON refunds
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_money_move('refund');
CREATE TRIGGER disputes_move_is_legal BEFORE UPDATE OF status ON disputes
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_money_move('dispute');

-- The payment's own sums follow its refunds, whoever writes them, so that the two constraints above always judge.
CREATE FUNCTION sum_up_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of uuid := coalesce(NEW.payment_id, OLD.payment_id);
BEGIN
    -- Locked first and summed up afterwards: a statement that waited for the lock would still see the past around it.
    -- No stronger than the update itself: the foreign key has locked the row too, for sharing.
    PERFORM FROM payments WHERE id = of FOR NO KEY UPDATE;
    UPDATE payments p
       SET amount_refunded = coalesce((SELECT sum(r.amount) FROM refunds r
                                        WHERE r.payment_id = p.id AND r.status = 'succeeded'), 0),
           amount_refunding = coalesce((SELECT sum(r.amount) FROM refunds r
                                         WHERE r.payment_id = p.id AND r.status IN ('requested', 'sent', 'pending')), 0),
           updated_at = now()
     WHERE p.id = of;
    RETURN NULL;
END $$;

CREATE TRIGGER refunds_are_summed_up AFTER INSERT OR DELETE OR UPDATE OF status, amount ON refunds
    FOR EACH ROW EXECUTE FUNCTION sum_up_refunds();
