-- What one log tells of rows that another log gives, until both were read.

CREATE TABLE second_hand (
    reference UBIGINT NOT NULL,
    time TIMESTAMP NOT NULL,
    subject INTEGER NOT NULL,
    manner INTEGER NOT NULL,
    client INTEGER NOT NULL,
    recipients BIGINT,
    size BIGINT
);

CREATE TABLE awaited (
    reference UBIGINT NOT NULL,
    key UBIGINT NOT NULL,            -- of the row
    opened TIMESTAMP NOT NULL
);
