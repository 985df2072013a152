SELECT
    account, mechanism, auth_class, messages, last_seen,
    CASE WHEN account IS NULL THEN last_basic ELSE max(last_basic) OVER (PARTITION BY account_id) END AS last_basic
FROM (
    SELECT
        account_id, any_value(account) AS account, mechanism, auth_class, sum(messages) AS messages, max(last_seen) AS last_seen,
        max(CASE WHEN auth_class = 'basic' THEN last_seen END) AS last_basic
    FROM facts
    GROUP BY account_id, mechanism, auth_class
) AS sums
