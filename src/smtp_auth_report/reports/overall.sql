SELECT
    sum(messages) AS messages,
    count(DISTINCT account_id) AS accounts,
    sum(CASE WHEN tls_version = 'unknown' THEN messages ELSE 0 END) AS tls_version,
    sum(CASE WHEN mechanism = 'unknown' THEN messages ELSE 0 END) AS mechanism,
    sum(CASE WHEN account_id IS NULL THEN messages ELSE 0 END) AS account_unknown,
    sum(CASE WHEN sender IS NULL THEN messages ELSE 0 END) AS sender_unknown,
    sum(CASE WHEN service = 'unknown' THEN messages ELSE 0 END) AS service
FROM facts
