-- What is said of a notice, from its publication on: one row whenever something of it that outlives the publication
-- was stated or stated anew.
SELECT notice_id, known_at, closes_at, opened_at, withdrawn_at
FROM known_notice
WHERE is_news(known_at)
ORDER BY notice_id, known_at
