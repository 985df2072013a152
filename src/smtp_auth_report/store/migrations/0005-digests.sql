-- Sums that charts read: of all subjects by manner, and by sender domain and outcome alone.

CREATE TABLE manner_sums_1 (
    slot INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

CREATE TABLE domain_sums_1 (
    slot INTEGER NOT NULL,
    subject INTEGER NOT NULL,        -- one that stands for all of its sender domain
    manner INTEGER NOT NULL,         -- one that stands for all of its outcome
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    first_seen TIMESTAMP NOT NULL,
    last_seen TIMESTAMP NOT NULL
);

CREATE TABLE manner_sums_7 AS FROM manner_sums_1;

CREATE TABLE manner_sums_28 AS FROM manner_sums_1;

CREATE TABLE manner_sums_112 AS FROM manner_sums_1;

CREATE TABLE domain_sums_7 AS FROM domain_sums_1;

CREATE TABLE domain_sums_28 AS FROM domain_sums_1;

CREATE TABLE domain_sums_112 AS FROM domain_sums_1;

-- Of a block that is decided on, whether there are digests too; null while they are to be made
ALTER TABLE sealed ADD COLUMN digested BOOLEAN;
