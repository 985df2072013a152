SELECT
    CASE WHEN sender = '' THEN '<>' ELSE sender END AS sender, sender_domain, account,
    sum(messages) AS messages, sum(recipients) AS recipients, sum(bytes) AS bytes,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM facts
GROUP BY sender, sender_domain, account
