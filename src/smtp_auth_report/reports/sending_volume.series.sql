SELECT slot, sender_domain, sum(messages) AS messages
FROM facts
GROUP BY slot, sender_domain
