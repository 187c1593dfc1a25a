-- What is said of a notice, from its publication on: one row whenever something of it that outlives the publication
-- was stated or stated anew.
-- No publication says that it will be withdrawn: a source that says both of the past, in one row, says of the second
-- that it was known when it happened, or when it was read if that is to come.
WITH status AS (
    SELECT
        notice_id, known_at, closes_at, opened_at, withdrawn_at,
        CASE WHEN withdrawn_at > known_at THEN least(withdrawn_at, lake_reading.read_at) END AS withdrawal_known_at
    FROM known_notice LEFT JOIN lake_reading USING (part)
    WHERE is_news(known_at)
)
SELECT
    * EXCLUDE (withdrawal_known_at)
      REPLACE (CASE WHEN withdrawal_known_at > known_at THEN NULL ELSE withdrawn_at END AS withdrawn_at)
FROM status
UNION ALL
SELECT * EXCLUDE (withdrawal_known_at) REPLACE (withdrawal_known_at AS known_at)
FROM status
WHERE withdrawal_known_at > known_at
ORDER BY notice_id, known_at
