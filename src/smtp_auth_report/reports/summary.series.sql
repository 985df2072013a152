SELECT slot, sum(messages) AS messages, count(DISTINCT account) AS accounts
FROM facts
WHERE outcome = 'accepted'
GROUP BY slot
