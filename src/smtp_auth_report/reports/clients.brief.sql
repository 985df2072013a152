SELECT
    account, client_ip, service, tls_version, mechanism,
    sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM events
GROUP BY account, client_ip, service, tls_version, mechanism
