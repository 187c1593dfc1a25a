-- Every bid that became known, company by company in the order in which it did. What is later corrected of a bid is no
-- second one. The first history_length rows of a company, in this order over all segments, are its history.
SELECT
    company.company_id,
    fact.notice_id,
    make_timestamptz(known) AS known_at, -- the opening; sealed until then
    won                                  -- as first stated
FROM bidder
JOIN company ON company.rowid = bidder.company
JOIN fact ON fact.rowid = bidder.notice
WHERE known > epoch_us(getvariable('known_after'))
ORDER BY bidder.company, known, bidder.notice
