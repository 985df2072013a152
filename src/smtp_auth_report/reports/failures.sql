SELECT
    any_value(client_ip) AS client_ip, any_value(account) AS account,
    -- [client_name
    argMax(client_name, (last_seen, client_name)) AS client_name,
    -- ]
    -- [last_reason
    argMax(reason, (last_seen, reason)) AS last_reason,
    -- ]
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
    sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    sum(messages) AS failed
FROM events
GROUP BY address_id, account_id
