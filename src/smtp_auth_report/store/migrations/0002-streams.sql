-- Logs that are followed: open sessions of each, and how reading them goes.

CREATE TABLE sessions (
    source VARCHAR NOT NULL,
    server VARCHAR NOT NULL,
    newest BIGINT NOT NULL,
    sessions VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,         -- '' for files that were read once
    PRIMARY KEY (source, server, stream)
);

INSERT INTO sessions SELECT source, server, newest, sessions, '' FROM remembered;

DROP TABLE remembered;

ALTER TABLE sessions RENAME TO remembered;

CREATE TABLE streams (
    stream VARCHAR PRIMARY KEY,
    lines BIGINT NOT NULL,
    other BIGINT NOT NULL,           -- of these, not about submission
    unread BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    line_rate DOUBLE NOT NULL,       -- a second, of late
    row_rate DOUBLE NOT NULL,
    behind BIGINT NOT NULL,          -- bytes on disk that were not read yet
    problem VARCHAR NOT NULL,        -- '' where all is well
    newest BIGINT NOT NULL,          -- time of its newest line, 0 while none was read
    committed BIGINT NOT NULL
);
