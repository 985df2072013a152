-- The tables of duckdb, as ClickHouse keeps them: each row replaces earlier ones of its key (ORDER BY), the one that was
-- written last stands, and one that is gone counts for nothing. Whoever reads says so with the setting `final`.
--
-- `written` is when a row was, in steps of half a microsecond: even where it was written, and one more where it is gone,
-- so that what takes a row away takes away just what it has seen. Where it is something else, the table says so.
-- Statements end with a semicolon at the end of a line.
--
-- A partition that nobody has written to for an hour is merged into one part by the server itself, as a month is soon after
-- it is over. Of one that is alone nothing was replaced: to read it takes a fifth of the time. Answers are the same before.

-- name -> value. Of numbers that only rise `written` is the number, of what is settled once the reverse of the time.
CREATE TABLE meta (
    name LowCardinality(String),
    value String,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY name;

-- The id of a subject, manner or client, and every number in place of a value, is the hash of the values (clickhouse_numbers.py)
CREATE TABLE subjects (
    id UInt64,
    account Nullable(String),
    account_domain LowCardinality(Nullable(String)),
    account_key Nullable(String),
    sender Nullable(String),
    sender_domain LowCardinality(Nullable(String)),
    account_id Nullable(UInt64),
    sender_id UInt64,
    domain_id Nullable(UInt64),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY id
SETTINGS min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE manners (
    id UInt64,
    server LowCardinality(String),
    service LowCardinality(String),
    source LowCardinality(String),
    mechanism LowCardinality(String),
    tls_version LowCardinality(String),
    tls_cipher LowCardinality(Nullable(String)),
    outcome LowCardinality(String),
    reason LowCardinality(Nullable(String)),
    way_id UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY id
SETTINGS min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

CREATE TABLE clients (
    id UInt64,
    client_ip Nullable(String),
    client_name Nullable(String),
    helo Nullable(String),
    address_id Nullable(UInt64),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY id
SETTINGS min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- `writer` is who wrote it: two hosts that write readings of one event at the same moment do not replace each other's row;
-- whoever looks last puts them together.
CREATE TABLE submissions (
    key UInt64,
    opened DateTime64(6, 'UTC'),
    spread Int32,
    time DateTime64(6, 'UTC'),
    subject UInt64,
    manner UInt64,
    client UInt64,
    recipients Nullable(Int64),
    size Nullable(Int64),
    queue_id Nullable(String) CODEC(ZSTD(1)),
    message_id Nullable(String) CODEC(ZSTD(1)),
    writer UInt64,
    written UInt64,
    gone UInt8,
    INDEX times time TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(written, gone)
PARTITION BY toYYYYMM(opened) ORDER BY (toStartOfHour(opened), key, opened, writer)
SETTINGS min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- What has expired, by the hour. One row for each group, with all of it; `written` is its messages, so that the sum of more stands.
CREATE TABLE hourly (
    bucket DateTime64(6, 'UTC'),
    subject UInt64,
    manner UInt64,
    messages Int64,
    recipients Int64,
    bytes Int64,
    first_seen DateTime64(6, 'UTC'),
    last_seen DateTime64(6, 'UTC'),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone)
PARTITION BY toYYYYMM(bucket) ORDER BY (bucket, subject, manner)
SETTINGS min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- The earliest spelling stands: `written` is the reverse of `first_seen`. A row goes by deletion only.
CREATE TABLE accounts (
    account String,
    spelling String,
    first_seen DateTime64(6, 'UTC'),
    account_key Nullable(String),
    account_domain LowCardinality(Nullable(String)),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY account;

-- `reading` is the hash of the columns behind `reference`
CREATE TABLE second_hand (
    reference UInt64,
    time DateTime64(6, 'UTC'),
    subject UInt64,
    manner UInt64,
    client UInt64,
    recipients Nullable(Int64),
    size Nullable(Int64),
    reading UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (reference, reading);

CREATE TABLE awaited (
    reference UInt64,
    key UInt64,
    opened DateTime64(6, 'UTC'),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (reference, key, opened);

CREATE TABLE erased (
    account_key String,
    time Int64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY account_key;

CREATE TABLE withheld (
    account_key String,
    sealed String,
    time Int64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY account_key;

-- Notes. Each writer keeps rows of its own, with all that it has counted so far: who reads adds them up.

CREATE TABLE writers (
    writer UInt64,
    host String,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY writer;

CREATE TABLE progress (
    source LowCardinality(String),
    server LowCardinality(String),
    newest Int64,
    committed Int64,
    version LowCardinality(String),
    writer UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (source, server, writer);

CREATE TABLE unread (
    source LowCardinality(String),
    server LowCardinality(String),
    reason LowCardinality(String),
    hour Int64,
    lines Int64,
    last Int64,
    writer UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (source, server, reason, hour, writer);

CREATE TABLE unread_samples (
    source LowCardinality(String),
    server LowCardinality(String),
    reason LowCardinality(String),
    number Int32,
    sample String,
    writer UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (source, server, reason, writer, number);

CREATE TABLE gaps (
    server LowCardinality(String),
    time Int64,
    reason LowCardinality(String),
    lost Nullable(Int64),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (server, time, reason);

CREATE TABLE streams (
    stream String,
    lines Int64,
    other Int64,
    unread Int64,
    rows Int64,
    line_rate Float64,
    row_rate Float64,
    behind Int64,
    problem String,
    newest Int64,
    committed Int64,
    writer UInt64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (stream, writer);

CREATE TABLE counted_reports (
    report String,
    file String,
    read Int64,
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY report;

CREATE TABLE counted (
    report String,
    line Int64,
    sender String,
    sender_domain LowCardinality(String),
    sender_key String,
    messages Int64,
    tls_none Nullable(Float64),
    tls_1_0 Nullable(Float64),
    tls_1_1 Nullable(Float64),
    tls_1_2 Nullable(Float64),
    tls_1_3 Nullable(Float64),
    authentication String,
    first Nullable(Int64),
    last Nullable(Int64),
    written UInt64,
    gone UInt8
) ENGINE = ReplacingMergeTree(written, gone) ORDER BY (report, line);
