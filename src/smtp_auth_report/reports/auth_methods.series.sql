SELECT slot, mechanism, sum(messages) AS messages
FROM facts
WHERE outcome = 'accepted'
GROUP BY slot, mechanism
