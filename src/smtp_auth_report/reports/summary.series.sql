SELECT slot, sum(messages) AS messages, count(DISTINCT account_id) AS accounts
FROM facts
WHERE outcome = 'accepted'
GROUP BY slot
