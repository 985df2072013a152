SELECT slot, tls_version, sum(messages) AS messages
FROM facts
GROUP BY slot, tls_version
