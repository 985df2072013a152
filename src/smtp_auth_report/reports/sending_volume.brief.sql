SELECT
    CASE WHEN sender = '' THEN '<>' ELSE sender END AS sender, sender_domain, account, messages, recipients, bytes, first_seen, last_seen
FROM (
    SELECT
        any_value(sender) AS sender, any_value(sender_domain) AS sender_domain, any_value(account) AS account,
        sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM facts
    GROUP BY sender_id, domain_id
) AS sums
