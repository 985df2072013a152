-- Rows that expire, accounts that are erased, names that wait for their domain.

CREATE TABLE erased (
    account_key VARCHAR PRIMARY KEY,
    time BIGINT NOT NULL             -- when; what happened before it does not come back
);

CREATE TABLE withheld (
    account_key VARCHAR PRIMARY KEY,
    sealed VARCHAR NOT NULL,         -- the name, under the site's key
    time BIGINT NOT NULL             -- when it was first tried
);
