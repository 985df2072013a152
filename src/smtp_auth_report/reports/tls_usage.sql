SELECT
    CASE WHEN sender = '' THEN '<>' ELSE sender END AS sender, account,
    tls_none, tls_sslv3, tls_1_0, tls_1_1, tls_1_2, tls_1_3, tls_unversioned, tls_unknown,
    1.0 * tls_none / messages AS tls_none_share,
    1.0 * tls_sslv3 / messages AS tls_sslv3_share,
    1.0 * tls_1_0 / messages AS tls_1_0_share,
    1.0 * tls_1_1 / messages AS tls_1_1_share,
    1.0 * tls_1_2 / messages AS tls_1_2_share,
    1.0 * tls_1_3 / messages AS tls_1_3_share,
    1.0 * tls_unversioned / messages AS tls_unversioned_share,
    1.0 * tls_unknown / messages AS tls_unknown_share,
    messages, last_legacy,
    tls_none + tls_sslv3 + tls_1_0 + tls_1_1 AS weak
FROM (
    SELECT
        min(subject) AS subject,
        sum(CASE WHEN tls_version = 'none' THEN messages ELSE 0 END) AS tls_none,
        sum(CASE WHEN tls_version = 'SSLv3' THEN messages ELSE 0 END) AS tls_sslv3,
        sum(CASE WHEN tls_version = 'TLSv1.0' THEN messages ELSE 0 END) AS tls_1_0,
        sum(CASE WHEN tls_version = 'TLSv1.1' THEN messages ELSE 0 END) AS tls_1_1,
        sum(CASE WHEN tls_version = 'TLSv1.2' THEN messages ELSE 0 END) AS tls_1_2,
        sum(CASE WHEN tls_version = 'TLSv1.3' THEN messages ELSE 0 END) AS tls_1_3,
        sum(CASE WHEN tls_version = 'tls' THEN messages ELSE 0 END) AS tls_unversioned,
        sum(CASE WHEN tls_version = 'unknown' THEN messages ELSE 0 END) AS tls_unknown,
        max(CASE WHEN tls_version IN ('SSLv3', 'TLSv1.0', 'TLSv1.1') THEN last_seen END) AS last_legacy,
        sum(messages) AS messages
    FROM facts
    GROUP BY sender_id
) AS sums
JOIN subjects ON subjects.id = sums.subject
