-- Submissions, their hourly sums, and where reading stopped.

CREATE TABLE submissions (
    key UBIGINT NOT NULL,
    opened TIMESTAMP NOT NULL,       -- the earliest reading's
    spread INTEGER NOT NULL,         -- microseconds from there to the latest reading's
    time TIMESTAMP NOT NULL,
    server VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    client_ip VARCHAR,
    client_name VARCHAR,
    helo VARCHAR,
    account VARCHAR,                 -- case-folded; table accounts has the spelling
    account_domain VARCHAR,
    account_key VARCHAR,
    mechanism VARCHAR NOT NULL,
    tls_version VARCHAR NOT NULL,
    tls_cipher VARCHAR,
    sender VARCHAR,
    sender_domain VARCHAR,
    recipients BIGINT,
    size BIGINT,
    queue_id VARCHAR,
    message_id VARCHAR,
    outcome VARCHAR NOT NULL,
    reason VARCHAR
);

-- The same group may stand in several rows: whoever reads this sums.
CREATE TABLE hourly (
    bucket TIMESTAMP NOT NULL,
    server VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    account VARCHAR,
    account_domain VARCHAR,
    sender VARCHAR,
    sender_domain VARCHAR,
    mechanism VARCHAR NOT NULL,
    tls_version VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

CREATE TABLE accounts (
    account VARCHAR PRIMARY KEY,     -- case-folded
    spelling VARCHAR NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    account_key VARCHAR,
    account_domain VARCHAR
);

CREATE TABLE positions (
    head VARCHAR NOT NULL,
    head_size BIGINT NOT NULL,
    "offset" BIGINT NOT NULL,
    tail VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    options VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL,
    PRIMARY KEY (head, head_size, options)
);

CREATE TABLE remembered (
    source VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    newest BIGINT NOT NULL,
    sessions VARCHAR NOT NULL,
    PRIMARY KEY (source, server)
);

CREATE TABLE progress (
    source VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    newest BIGINT NOT NULL,
    committed BIGINT NOT NULL,
    PRIMARY KEY (source, server)
);

CREATE TABLE unread (
    source VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    hour BIGINT NOT NULL,            -- its start, microseconds UTC
    lines BIGINT NOT NULL,
    last BIGINT NOT NULL,
    PRIMARY KEY (source, server, reason, hour)
);

CREATE TABLE unread_samples (
    source VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    sample VARCHAR NOT NULL,
    PRIMARY KEY (source, server, reason, number)
);

CREATE TABLE gaps (
    server VARCHAR NOT NULL,
    time BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    lost BIGINT,
    PRIMARY KEY (server, time, reason)
);

CREATE TABLE meta (
    name VARCHAR PRIMARY KEY,
    value VARCHAR NOT NULL
);
