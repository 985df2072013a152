SELECT
    now.accounts, now.messages, now.recipients,
    before.accounts AS previous_accounts, before.messages AS previous_messages,
    now.legacy_tls_accounts, now.cleartext_accounts, now.basic_auth_accounts, now.auth_failed, now.tls_failed,
    now.tls_none, now.tls_sslv3, now.tls_1_0, now.tls_1_1, now.tls_1_2, now.tls_1_3, now.tls_unversioned, now.tls_unknown
FROM (
    SELECT
        count(CASE WHEN accepted > 0 THEN account_id END) AS accounts,
        coalesce(sum(accepted), 0) AS messages,
        coalesce(sum(recipients), 0) AS recipients,
        count(CASE WHEN tls_sslv3 + tls_1_0 + tls_1_1 > 0 THEN account_id END) AS legacy_tls_accounts,
        count(CASE WHEN tls_none > 0 THEN account_id END) AS cleartext_accounts,
        count(CASE WHEN basic > 0 THEN account_id END) AS basic_auth_accounts,
        coalesce(sum(auth_failed), 0) AS auth_failed,
        coalesce(sum(tls_failed), 0) AS tls_failed,
        coalesce(sum(tls_none), 0) AS tls_none,
        coalesce(sum(tls_sslv3), 0) AS tls_sslv3,
        coalesce(sum(tls_1_0), 0) AS tls_1_0,
        coalesce(sum(tls_1_1), 0) AS tls_1_1,
        coalesce(sum(tls_1_2), 0) AS tls_1_2,
        coalesce(sum(tls_1_3), 0) AS tls_1_3,
        coalesce(sum(tls_unversioned), 0) AS tls_unversioned,
        coalesce(sum(tls_unknown), 0) AS tls_unknown
    FROM (
        SELECT
            account_id,
            sum(accepted) AS accepted,
            sum(CASE WHEN accepted > 0 THEN recipients ELSE 0 END) AS recipients,
            sum(CASE WHEN auth_class = 'basic' THEN accepted ELSE 0 END) AS basic,
            sum(CASE WHEN outcome = 'auth_failed' THEN messages ELSE 0 END) AS auth_failed,
            sum(CASE WHEN outcome = 'tls_failed' THEN messages ELSE 0 END) AS tls_failed,
            sum(CASE WHEN tls_version = 'none' THEN accepted ELSE 0 END) AS tls_none,
            sum(CASE WHEN tls_version = 'SSLv3' THEN accepted ELSE 0 END) AS tls_sslv3,
            sum(CASE WHEN tls_version = 'TLSv1.0' THEN accepted ELSE 0 END) AS tls_1_0,
            sum(CASE WHEN tls_version = 'TLSv1.1' THEN accepted ELSE 0 END) AS tls_1_1,
            sum(CASE WHEN tls_version = 'TLSv1.2' THEN accepted ELSE 0 END) AS tls_1_2,
            sum(CASE WHEN tls_version = 'TLSv1.3' THEN accepted ELSE 0 END) AS tls_1_3,
            sum(CASE WHEN tls_version = 'tls' THEN accepted ELSE 0 END) AS tls_unversioned,
            sum(CASE WHEN tls_version = 'unknown' THEN accepted ELSE 0 END) AS tls_unknown
        FROM (
            SELECT
                account_id, outcome, tls_version, auth_class, messages, recipients,
                CASE WHEN outcome = 'accepted' THEN messages ELSE 0 END AS accepted
            FROM facts
        ) AS told
        GROUP BY account_id
    ) AS by_account
) AS now
CROSS JOIN (
    SELECT count(DISTINCT account_id) AS accounts, coalesce(sum(messages), 0) AS messages
    FROM previous
    WHERE outcome = 'accepted'
) AS before
