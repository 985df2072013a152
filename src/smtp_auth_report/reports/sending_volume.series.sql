SELECT slot, sender_domain, sum(messages) AS messages
FROM facts
WHERE outcome = 'accepted'
GROUP BY slot, sender_domain
