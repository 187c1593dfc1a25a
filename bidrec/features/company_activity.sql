-- What a company is after each moment at which bids of it became known: one row per company and such moment.
-- Every number counts exactly the bids with known_at <= the row's; bids opened at the same moment count together.
-- build.py runs this for a run of companies at a time, so that memory does not grow with the number of bids.
WITH bid AS (
    SELECT
        log.company_id,
        log.known_at,
        log.log_row,
        log.won,
        epoch_us(log.known_at) AS instant,
        min(epoch_us(log.known_at)) OVER (PARTITION BY log.company_id) AS first_instant,
        notice.buyer_id,
        notice.place,
        -- Ten-thousandths: sums of integers are exact, whatever the order in which threads add them.
        round(notice.log_value * 1e4)::HUGEINT AS log_value,
        {
            'notice': log.notice_id, 'buyer': notice.buyer_id, 'place': notice.place, 'category': notice.category
        } AS facts
    FROM numbered_bid_log AS log
    JOIN numbered_notice AS notice USING (notice_row)
    WHERE log.company_id BETWEEN getvariable('first_company') AND getvariable('last_company')
),
marked AS (
    SELECT
        *,
        -- A bid halves every 90 days. Weights that double from the first bid on, divided by the last one's, say the
        -- same in one pass; a double holds 250 years of doublings.
        pow(2, (instant - first_instant) / days(90)) AS growth,
        buyer_id IS NOT NULL AND row_number() OVER (PARTITION BY company_id, buyer_id ORDER BY log_row) = 1 AS new_buyer,
        place IS NOT NULL AND row_number() OVER (PARTITION BY company_id, place ORDER BY log_row) = 1 AS new_place
    FROM bid
),
running AS (
    SELECT
        company_id,
        known_at,
        min(log_row) OVER so_far AS log_begin,
        log_row + 1 AS log_end,
        count(*) OVER so_far AS bids_all,
        count(*) OVER (by_time RANGE BETWEEN days(30) PRECEDING AND CURRENT ROW) AS bids_30d,
        count(*) OVER (by_time RANGE BETWEEN days(90) PRECEDING AND CURRENT ROW) AS bids_90d,
        count(*) OVER (by_time RANGE BETWEEN days(365) PRECEDING AND CURRENT ROW) AS bids_365d,
        sum(growth) OVER so_far / growth AS decayed_bids,
        count(*) FILTER (won) OVER so_far AS wins_all,
        count(won) OVER so_far AS outcomes_all,
        count(*) FILTER (new_buyer) OVER so_far AS distinct_buyers,
        count(*) FILTER (new_place) OVER so_far AS distinct_places,
        count(log_value) OVER so_far AS valued_all,
        sum(log_value) OVER so_far AS value_sum,
        sum(log_value * log_value) OVER so_far AS value_squares,
        (instant - first_instant) / days(1) AS days_since_first_bid,
        list(facts) OVER (by_row ROWS BETWEEN 19 PRECEDING AND CURRENT ROW) AS latest
    FROM marked
    WINDOW
        by_time AS (PARTITION BY company_id ORDER BY instant),
        by_row AS (PARTITION BY company_id ORDER BY log_row),
        so_far AS (PARTITION BY company_id ORDER BY log_row ROWS UNBOUNDED PRECEDING)
    -- The last bid of each moment has seen all of the moment's.
    QUALIFY lead(instant) OVER by_row IS DISTINCT FROM instant
)
SELECT
    company_id,
    known_at,
    bids_all,
    bids_30d,
    bids_90d,
    bids_365d,
    round(decayed_bids, 6) AS decayed_bids,
    wins_all,
    wins_all / nullif(outcomes_all, 0) AS win_share, -- of the bids whose outcome the source states
    value_sum::DOUBLE / nullif(valued_all, 0) / 1e4 AS mean_log_value,
    sqrt((value_squares * valued_all - value_sum * value_sum)::DOUBLE) / nullif(valued_all, 0) / 1e4 AS std_log_value,
    distinct_buyers,
    distinct_places,
    days_since_first_bid,
    days_since_first_bid / nullif(bids_all - 1, 0) AS mean_gap_days,
    known_at AS last_bid_at,
    known_at AS version_at,
    log_begin,
    log_end,
    newest_first(list_transform(latest, lambda bid: bid.notice)) AS last_notices,
    newest_first(list_transform(latest, lambda bid: bid.buyer)) AS last_buyers,
    newest_first(list_transform(latest, lambda bid: bid.place)) AS last_places,
    newest_first(list_transform(latest, lambda bid: bid.category)) AS last_categories
FROM running
ORDER BY company_id, known_at
