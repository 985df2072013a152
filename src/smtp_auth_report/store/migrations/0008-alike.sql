-- Numbers of values that are often told apart, beside the values: the id of one that has them.

ALTER TABLE subjects ADD COLUMN account_id INTEGER;

ALTER TABLE subjects ADD COLUMN sender_id INTEGER;       -- of account and sender together

ALTER TABLE subjects ADD COLUMN domain_id INTEGER;       -- of the sender's domain

ALTER TABLE clients ADD COLUMN address_id INTEGER;

UPDATE subjects SET account_id = a.number, sender_id = a.of_sender, domain_id = a.of_domain FROM (
    SELECT id AS of,
           CASE WHEN account IS NOT NULL THEN min(id) OVER (PARTITION BY account) END AS number,
           min(id) OVER (PARTITION BY account, sender) AS of_sender,
           CASE WHEN sender_domain IS NOT NULL THEN min(id) OVER (PARTITION BY sender_domain) END AS of_domain
    FROM subjects
) AS a WHERE id = a.of;

UPDATE clients SET address_id = a.number FROM (
    SELECT id AS of, CASE WHEN client_ip IS NOT NULL THEN min(id) OVER (PARTITION BY client_ip) END AS number FROM clients
) AS a WHERE id = a.of;
