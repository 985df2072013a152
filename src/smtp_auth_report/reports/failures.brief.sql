SELECT
    client_ip, account,
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
    sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    sum(messages) AS failed
FROM events
GROUP BY client_ip, account
