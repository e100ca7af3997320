-- What an invoice has billed: its subscription may have gone over to another plan since.

ALTER TABLE invoices ADD COLUMN price_id text;  -- the gateway's; null where nobody has told, or it was billed before
