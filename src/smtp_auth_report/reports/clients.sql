SELECT
    any_value(account) AS account, any_value(client_ip) AS client_ip, service, tls_version, mechanism,
    -- [client_name
    argMax(client_name, (last_seen, client_name)) AS client_name,
    -- ]
    -- [helo
    argMax(helo, (last_seen, helo)) AS helo,
    -- ]
    sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM events
GROUP BY account_id, address_id, service, tls_version, mechanism
