-- Sums of days by client, and a number for what tells the ways of submitting apart.

CREATE TABLE client_sums_1 AS FROM client_sums_7 LIMIT 0;

ALTER TABLE manners ADD COLUMN way_id INTEGER;           -- of service, TLS version and mechanism together

UPDATE manners SET way_id = ways.number FROM (
    SELECT id AS of, min(id) OVER (PARTITION BY service, tls_version, mechanism) AS number FROM manners
) AS ways WHERE id = ways.of;
