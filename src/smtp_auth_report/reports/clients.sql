SELECT
    account, client_ip, service, tls_version, mechanism,
    -- [client_name
    name AS client_name,
    -- ]
    -- [helo
    greeting AS helo,
    -- ]
    -- [first_seen
    first_seen,
    -- ]
    -- [last_seen
    last_seen,
    -- ]
    messages
FROM (
    SELECT
        min(subject) AS subject, min(client) AS client, min(manner) AS manner,
        -- [client_name
        argMax(client_name, (last_seen, client_name)) AS name,
        -- ]
        -- [helo
        argMax(helo, (last_seen, helo)) AS greeting,
        -- ]
        -- [first_seen
        min(first_seen) AS first_seen,
        -- ]
        -- [last_seen
        max(last_seen) AS last_seen,
        -- ]
        sum(messages) AS messages
    FROM events
    GROUP BY account_id, address_id, way_id
) AS sums
JOIN subjects ON subjects.id = sums.subject
JOIN clients ON clients.id = sums.client
JOIN manners ON manners.id = sums.manner
