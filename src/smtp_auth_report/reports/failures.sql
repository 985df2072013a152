SELECT
    client_ip,
    argMax(client_name, (last_seen, client_name)) AS client_name,
    account,
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
    sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed,
    argMax(reason, (last_seen, reason)) AS last_reason,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    sum(messages) AS failed
FROM (
    SELECT
        client_ip, account, outcome, client_name, reason,
        sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM events
    GROUP BY client_ip, account, outcome, client_name, reason
) AS named
GROUP BY client_ip, account
