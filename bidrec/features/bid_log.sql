-- Every bid, company by company in the order in which the bids became known. A company's history at some moment is
-- a run of these rows: company_activity says which.
SELECT
    bid.company_id,
    bid.notice_id,
    notice.notice_row, -- row of features/notice.parquet
    bid.known_at,      -- the opening; sealed until then
    bid.won
FROM lake_bid AS bid
JOIN numbered_notice AS notice USING (notice_id)
ORDER BY bid.company_id, bid.known_at, notice.published_at, bid.notice_id
