SELECT
    account, client_ip, service, tls_version, mechanism,
    -- [client_name
    name AS client_name,
    -- ]
    -- [helo
    greeting AS helo,
    -- ]
    messages, first_seen, last_seen
FROM (
    SELECT
        min(subject) AS subject, min(client) AS client, min(manner) AS manner,
        -- [client_name
        argMax(client_name, (last_seen, client_name)) AS name,
        -- ]
        -- [helo
        argMax(helo, (last_seen, helo)) AS greeting,
        -- ]
        sum(messages) AS messages, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM events
    GROUP BY account_id, address_id, way_id
) AS sums
JOIN subjects ON subjects.id = sums.subject
JOIN clients ON clients.id = sums.client
JOIN manners ON manners.id = sums.manner
