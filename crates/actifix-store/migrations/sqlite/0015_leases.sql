-- Leases of one holder, wherever they are: an agent may hold a few at a time.
CREATE INDEX tickets_leased ON tickets (lease_holder, lease_expires_at) WHERE lease_holder IS NOT NULL;
