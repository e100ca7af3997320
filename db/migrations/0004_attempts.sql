-- Asking a gateway for a checkout session: the intent is a row before the call, so that whatever happens to the call,
-- or to us, can be found again.

CREATE TABLE payment_attempts (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    order_id        uuid        NOT NULL REFERENCES orders,
    number          integer     NOT NULL CHECK (number > 0),  -- the order's first, second ... attempt
    gateway         text        NOT NULL,
    idempotency_key text        NOT NULL UNIQUE,  -- deterministic; the same for every repeat of this call
    status          text        NOT NULL DEFAULT 'intended' CHECK (status IN (
        'intended',  -- written, and perhaps sent -> open | refused | unknown; who resumes it sends the same again
        'unknown',   -- sent, and the answer was lost -> open | refused; looked up, never decided by a timer
        'open',      -- the hosted page can be paid -> closed
        'refused',   -- the gateway said no: nothing exists there
        'closed'     -- the page is known to be over at the gateway: paid, expired or cancelled
    )),
    request         jsonb       NOT NULL,  -- frozen whole, expiry included: a replayed key must meet the same request
    session_id      text UNIQUE,
    url             text,
    expires_at      timestamptz,  -- by the gateway's clock
    calling_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a lease in real time: somebody is calling now
    calls           integer     NOT NULL DEFAULT 0,
    error           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, number),
    CONSTRAINT open_says_where CHECK (status <> 'open' OR (session_id IS NOT NULL AND url IS NOT NULL))
);

-- Two pages of one order that could both be paid cannot exist: the first must be known closed.
CREATE UNIQUE INDEX one_live_attempt_per_order ON payment_attempts (order_id)
    WHERE status IN ('intended', 'unknown', 'open');
CREATE INDEX payment_attempts_unsettled ON payment_attempts (updated_at) WHERE status IN ('intended', 'unknown');

-- What a caller asked under a key of its own, and the answer it got. A gateway's failure is not an answer: the row
-- keeps the order, and the same key goes on with it.
CREATE TABLE idempotency_keys (
    user_id      text        NOT NULL REFERENCES users,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash text        NOT NULL,  -- hex SHA-256 of route and body
    order_id     uuid        REFERENCES orders,
    answer       jsonb,  -- {"status", "body"}; null while in flight, or to be resumed
    held_until   timestamptz NOT NULL,  -- a lease in real time: the request that holds the key is still running
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
