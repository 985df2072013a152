SELECT slot, tls_version, sum(messages) AS messages
FROM facts
WHERE outcome = 'accepted'
GROUP BY slot, tls_version
