SELECT
    CASE WHEN sender = '' THEN '<>' ELSE sender END AS sender, sender_domain, account,
    -- [usual ratio
    usual,
    -- ]
    -- [ratio
    messages / greatest(usual, 0.5) AS ratio,
    -- ]
    -- [is_new
    CASE WHEN ever > 0 THEN 0 WHEN $known = 1 THEN 1 END AS is_new,
    -- ]
    -- [client_addresses
    coalesce(addresses, 0) AS client_addresses,
    -- ]
    -- [first_seen
    first_seen,
    -- ]
    -- [last_seen
    last_seen,
    -- ]
    messages, recipients, bytes
FROM (
    SELECT
        -- [usual ratio
        CASE WHEN $covered = 1 THEN
            coalesce((ago_1 + ago_2 + ago_3 + ago_4 - greatest(ago_1, ago_2, ago_3, ago_4) - least(ago_1, ago_2, ago_3, ago_4)) / 2.0, 0)
        END AS usual,
        -- ]
        -- [is_new
        ever,
        -- ]
        -- [client_addresses
        addresses,
        -- ]
        -- [first_seen
        first_seen,
        -- ]
        -- [last_seen
        last_seen,
        -- ]
        sender, sender_domain, account, messages, recipients, bytes
    FROM (
        SELECT
            -- [first_seen
            min(first_seen) AS first_seen,
            -- ]
            -- [last_seen
            max(last_seen) AS last_seen,
            -- ]
            sender_id, domain_id, min(subject) AS subject, sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes
        FROM facts
        GROUP BY sender_id, domain_id
    ) AS sums
    JOIN subjects ON subjects.id = sums.subject
    -- [usual ratio is_new
    LEFT JOIN (
        SELECT
            -- [usual ratio
            sum(ago_1) AS ago_1, sum(ago_2) AS ago_2, sum(ago_3) AS ago_3, sum(ago_4) AS ago_4,
            -- ]
            -- [is_new
            sum(ever) AS ever,
            -- ]
            sender_id, domain_id
        FROM earlier
        GROUP BY sender_id, domain_id
    ) AS sums_before ON sums_before.sender_id = sums.sender_id AND sums_before.domain_id IS NOT DISTINCT FROM sums.domain_id
    -- ]
    -- [client_addresses
    LEFT JOIN (
        SELECT sender_id, domain_id, count(address_id) AS addresses
        FROM (SELECT sender_id, domain_id, address_id FROM events GROUP BY sender_id, domain_id, address_id) AS places
        GROUP BY sender_id, domain_id
    ) AS counted ON counted.sender_id = sums.sender_id AND counted.domain_id IS NOT DISTINCT FROM sums.domain_id
    -- ]
) AS known
