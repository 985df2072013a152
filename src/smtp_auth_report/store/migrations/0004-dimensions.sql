-- What rows have in common moves into tables of its own; sums by the hour are kept of expired rows only; sums of days.

CREATE TABLE subjects (
    id INTEGER NOT NULL,
    account VARCHAR,                 -- case-folded; table accounts has the spelling
    account_domain VARCHAR,
    account_key VARCHAR,
    sender VARCHAR,
    sender_domain VARCHAR
);

CREATE TABLE manners (
    id INTEGER NOT NULL,
    server VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    mechanism VARCHAR NOT NULL,
    tls_version VARCHAR NOT NULL,
    tls_cipher VARCHAR,
    outcome VARCHAR NOT NULL,
    reason VARCHAR
);

CREATE TABLE clients (
    id INTEGER NOT NULL,
    client_ip VARCHAR,
    client_name VARCHAR,
    helo VARCHAR
);

-- Sums of rows that have expired were kept without key, cipher and reason

INSERT INTO subjects
SELECT row_number() OVER (), * FROM (
    SELECT account, account_domain, account_key, sender, sender_domain FROM submissions
    UNION
    SELECT h.account, h.account_domain, a.account_key, h.sender, h.sender_domain
    FROM hourly AS h LEFT JOIN accounts AS a ON a.account = h.account
    WHERE h.bucket < make_timestamp(coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'expired_before'), 0))
) AS found;

INSERT INTO manners
SELECT row_number() OVER (), * FROM (
    SELECT server, service, source, mechanism, tls_version, tls_cipher, outcome, reason FROM submissions
    UNION
    SELECT server, service, source, mechanism, tls_version, NULL, outcome, NULL FROM hourly
    WHERE bucket < make_timestamp(coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'expired_before'), 0))
) AS found;

INSERT INTO clients
SELECT row_number() OVER (), * FROM (SELECT DISTINCT client_ip, client_name, helo FROM submissions) AS found;

CREATE TABLE numbered (
    key UBIGINT NOT NULL,
    opened TIMESTAMP NOT NULL,       -- the earliest reading's
    spread INTEGER NOT NULL,         -- microseconds from there to the latest reading's
    time TIMESTAMP NOT NULL,
    subject INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    client INTEGER NOT NULL,
    recipients BIGINT,
    size BIGINT,
    queue_id VARCHAR,
    message_id VARCHAR
);

INSERT INTO numbered
SELECT s.key, s.opened, s.spread, s.time, u.id, m.id, c.id, s.recipients, s.size, s.queue_id, s.message_id
FROM submissions AS s
JOIN subjects AS u ON u.account IS NOT DISTINCT FROM s.account AND u.account_domain IS NOT DISTINCT FROM s.account_domain
    AND u.account_key IS NOT DISTINCT FROM s.account_key AND u.sender IS NOT DISTINCT FROM s.sender
    AND u.sender_domain IS NOT DISTINCT FROM s.sender_domain
JOIN manners AS m ON m.server = s.server AND m.service = s.service AND m.source = s.source AND m.mechanism = s.mechanism
    AND m.tls_version = s.tls_version AND m.tls_cipher IS NOT DISTINCT FROM s.tls_cipher AND m.outcome = s.outcome
    AND m.reason IS NOT DISTINCT FROM s.reason
JOIN clients AS c ON c.client_ip IS NOT DISTINCT FROM s.client_ip AND c.client_name IS NOT DISTINCT FROM s.client_name
    AND c.helo IS NOT DISTINCT FROM s.helo;

-- By the hour, what has expired: where that ended within an hour, less what its rows of that hour still tell

CREATE TABLE expired AS
SELECT h.bucket, u.id AS subject, m.id AS manner, h.messages, h.recipients, h.bytes, h.first_seen, h.last_seen FROM (
    SELECT bucket, server, service, source, account, account_domain, sender, sender_domain, mechanism, tls_version, outcome,
           sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes,
           min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM (
        SELECT * FROM hourly
        UNION ALL
        SELECT make_timestamp(epoch_us(time) - epoch_us(time) % w.width), server, service, source, account, account_domain,
               sender, sender_domain, mechanism, tls_version, outcome,
               -1, -coalesce(recipients, 0), -coalesce(size, 0), NULL, NULL
        FROM submissions
        CROSS JOIN (SELECT CAST(value AS BIGINT) * 60000000 AS width FROM meta WHERE name = 'bucket_minutes') AS w
    ) AS parts
    WHERE bucket < make_timestamp(coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'expired_before'), 0))
    GROUP BY bucket, server, service, source, account, account_domain, sender, sender_domain, mechanism, tls_version, outcome
) AS h
LEFT JOIN accounts AS a ON a.account = h.account
JOIN subjects AS u ON u.account IS NOT DISTINCT FROM h.account AND u.account_domain IS NOT DISTINCT FROM h.account_domain
    AND u.account_key IS NOT DISTINCT FROM a.account_key AND u.sender IS NOT DISTINCT FROM h.sender
    AND u.sender_domain IS NOT DISTINCT FROM h.sender_domain
JOIN manners AS m ON m.server = h.server AND m.service = h.service AND m.source = h.source AND m.mechanism = h.mechanism
    AND m.tls_version = h.tls_version AND m.tls_cipher IS NULL AND m.outcome = h.outcome AND m.reason IS NULL
WHERE h.messages > 0;

DROP TABLE submissions;

ALTER TABLE numbered RENAME TO submissions;

DROP TABLE hourly;

-- The same group may stand in several rows: whoever reads this sums.
CREATE TABLE hourly (
    bucket TIMESTAMP NOT NULL,
    subject INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

INSERT INTO hourly
SELECT bucket, subject, manner, messages, recipients, bytes, first_seen,
       least(last_seen, make_timestamp((SELECT CAST(value AS BIGINT) - 1 FROM meta WHERE name = 'expired_before')))
FROM expired ORDER BY bucket, subject;

DROP TABLE expired;

INSERT INTO meta SELECT 'widest_spread', CAST(coalesce(max(spread), 0) AS VARCHAR) FROM submissions;

-- Sums of local days and of blocks of them; a slot is the number of the first day

CREATE TABLE sums_1 (
    slot INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

CREATE TABLE sums_7 AS FROM sums_1;

CREATE TABLE sums_28 AS FROM sums_1;

CREATE TABLE sums_112 AS FROM sums_1;

CREATE TABLE client_sums_7 (
    slot INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    client INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

CREATE TABLE client_sums_28 AS FROM client_sums_7;

CREATE TABLE client_sums_112 AS FROM client_sums_7;

CREATE TABLE sealed (
    sums VARCHAR NOT NULL,           -- name of the table
    slot INTEGER NOT NULL,
    kept BOOLEAN NOT NULL            -- whether it was worth keeping
);
