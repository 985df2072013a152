SELECT slot, mechanism, sum(messages) AS messages
FROM facts
GROUP BY slot, mechanism
