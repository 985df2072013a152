SELECT source, server,
    sum(CASE WHEN outcome = 'accepted' THEN messages ELSE 0 END) AS accepted,
    sum(CASE WHEN outcome = 'rejected' THEN messages ELSE 0 END) AS rejected,
    sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS failed,
    sum(CASE WHEN outcome = 'no_mail' THEN messages ELSE 0 END) AS no_mail,
    sum(CASE WHEN outcome = 'accepted' AND tls_version IN ('unknown', 'tls') THEN messages ELSE 0 END) AS no_tls_version,
    sum(CASE WHEN outcome = 'accepted' AND tls_version IN ('unknown', 'tls') AND mechanism = 'unknown' THEN messages ELSE 0 END)
        AS no_tls_version_nor_mechanism,
    sum(CASE WHEN outcome = 'accepted' AND mechanism = 'unknown' THEN messages ELSE 0 END) AS no_mechanism,
    sum(CASE WHEN outcome = 'accepted' AND service = 'unknown' THEN messages ELSE 0 END) AS no_service,
    sum(CASE WHEN outcome = 'accepted' AND service = 'unknown' AND mechanism = 'unknown' THEN messages ELSE 0 END)
        AS no_service_nor_mechanism,
    sum(CASE WHEN outcome = 'accepted' AND account IS NULL THEN messages ELSE 0 END) AS no_account,
    sum(CASE WHEN outcome = 'accepted' AND client_ip IS NULL THEN messages ELSE 0 END) AS no_client_ip,
    sum(CASE WHEN outcome = 'accepted' AND helo IS NULL THEN messages ELSE 0 END) AS no_helo,
    sum(CASE WHEN outcome = 'auth_failed' AND account_key IS NULL THEN messages ELSE 0 END) AS failed_account,
    sum(recipients) AS recipients,
    sum(bytes) AS bytes
FROM events GROUP BY source, server
