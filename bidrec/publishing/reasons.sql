-- What the known bids of a company, on other notices, say about a notice: one row per (notice, company) asked about, in
-- their order, without a number where the notice is none of the features'.
WITH asked AS (
    SELECT unnest($notices) AS notice_id, unnest($companies) AS company_id, unnest(range(len($notices))) AS place_in_list
),
notice AS (
    SELECT notice_id, coalesce(unit, buyer_id) AS office, place, category FROM read_parquet($notice_files)
),
past AS (
    SELECT log.company_id, log.notice_id, log.known_at, notice.office, notice.place, notice.category
    FROM read_parquet($log_files) AS log
    JOIN notice USING (notice_id)
    WHERE log.company_id IN (SELECT unnest($companies)) AND log.known_at <= to_timestamp($as_of)
)
SELECT
    count(*) FILTER (past.office = subject.office) AS office_bids,
    max(past.known_at) FILTER (past.office = subject.office) AS office_last,
    count(*) FILTER (past.place = subject.place) AS place_bids,
    max(past.known_at) FILTER (past.place = subject.place) AS place_last,
    count(*) FILTER (past.category = subject.category) AS category_bids,
    max(past.known_at) FILTER (past.category = subject.category) AS category_last
FROM asked
LEFT JOIN notice AS subject USING (notice_id)
LEFT JOIN past ON past.company_id = asked.company_id AND past.notice_id <> asked.notice_id
GROUP BY place_in_list
ORDER BY place_in_list
