SELECT
    slot,
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
    sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed
FROM facts
GROUP BY slot
