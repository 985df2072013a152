SELECT
    any_value(client_ip) AS client_ip,
    argMax(client_name, (last_seen, client_name)) AS client_name,
    any_value(account) AS account,
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
    sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed,
    argMax(reason, (last_seen, reason)) AS last_reason,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    sum(messages) AS failed
FROM (
    SELECT
        address_id, account_id, any_value(client_ip) AS client_ip, any_value(account) AS account, outcome, client_name, reason,
        sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM events
    GROUP BY address_id, account_id, outcome, client_name, reason
) AS named
GROUP BY address_id, account_id
