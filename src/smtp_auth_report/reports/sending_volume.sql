SELECT
    CASE WHEN sender = '' THEN '<>' ELSE sender END AS sender, sender_domain, account, messages, usual,
    CASE WHEN ever > 0 THEN 0 WHEN $known = 1 THEN 1 END AS is_new,
    recipients, bytes, first_seen, last_seen, client_addresses,
    messages / greatest(usual, 0.5) AS ratio
FROM (
    SELECT
        *,
        CASE WHEN $covered = 1 THEN
            (ago_1 + ago_2 + ago_3 + ago_4 - greatest(ago_1, ago_2, ago_3, ago_4) - least(ago_1, ago_2, ago_3, ago_4)) / 2.0
        END AS usual
    FROM (
        SELECT
            any_value(sender) AS sender, any_value(sender_domain) AS sender_domain, any_value(account) AS account,
            sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes,
            min(first_seen) AS first_seen, max(last_seen) AS last_seen,
            sum(client_addresses) AS client_addresses,
            sum(ago_1) AS ago_1, sum(ago_2) AS ago_2, sum(ago_3) AS ago_3, sum(ago_4) AS ago_4, sum(ever) AS ever
        FROM (
            SELECT
                sender_id, domain_id, sender, sender_domain, account, messages, recipients, bytes, first_seen, last_seen, 0 AS client_addresses,
                0 AS ago_1, 0 AS ago_2, 0 AS ago_3, 0 AS ago_4, 0 AS ever
            FROM facts
            UNION ALL
            SELECT
                sender_id, domain_id, NULL, NULL, NULL, 0, 0, 0, NULL, NULL, 0, ago_1, ago_2, ago_3, ago_4, ever
            FROM earlier
            UNION ALL
            SELECT sender_id, domain_id, NULL, NULL, NULL, 0, 0, 0, NULL, NULL, count(address_id), 0, 0, 0, 0, 0
            FROM (
                SELECT sender_id, domain_id, address_id
                FROM events
                GROUP BY sender_id, domain_id, address_id
            ) AS addresses
            GROUP BY sender_id, domain_id
        ) AS parts
        GROUP BY sender_id, domain_id
    ) AS sums
    WHERE messages > 0
) AS rows_with_usual
