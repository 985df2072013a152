SELECT
    account, client_ip, service, tls_version, mechanism,
    argMax(client_name, (last_seen, client_name)) AS client_name,
    argMax(helo, (last_seen, helo)) AS helo,
    sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM (
    SELECT
        account, client_ip, service, tls_version, mechanism, client_name, helo,
        sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM events
    GROUP BY account, client_ip, service, tls_version, mechanism, client_name, helo
) AS named
GROUP BY account, client_ip, service, tls_version, mechanism
