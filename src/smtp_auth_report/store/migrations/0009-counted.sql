-- Reports that somebody else counted: beside the rows, and in no sum of them.

CREATE TABLE counted_reports (
    report VARCHAR PRIMARY KEY,      -- by how it begins
    file VARCHAR NOT NULL,           -- where it was last read from, for people
    read BIGINT NOT NULL             -- when, microseconds UTC
);

CREATE TABLE counted (
    report VARCHAR NOT NULL,
    line BIGINT NOT NULL,            -- which row of the report, by what that says
    sender VARCHAR NOT NULL,
    sender_domain VARCHAR NOT NULL,
    sender_key VARCHAR NOT NULL,     -- keyed hash, for erasure
    messages BIGINT NOT NULL,
    tls_none DOUBLE,                 -- shares of the messages
    tls_1_0 DOUBLE,
    tls_1_1 DOUBLE,
    tls_1_2 DOUBLE,
    tls_1_3 DOUBLE,
    authentication VARCHAR NOT NULL,
    first BIGINT,                    -- the days that the row is about, microseconds UTC
    last BIGINT
);
