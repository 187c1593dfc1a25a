-- What a company is after each moment at which something of its bids became known, from its running numbers.
SELECT
    company_id,
    make_timestamptz(known) AS known_at,
    bids AS bids_all,
    bids_30d,
    bids_90d,
    bids_365d,
    round(decayed, 6) AS decayed_bids,
    wins AS wins_all,
    wins / nullif(outcomes, 0) AS win_share, -- of the bids whose outcome the source states
    value_sum::DOUBLE / nullif(valued, 0) / 1e4 AS mean_log_value,
    sqrt((value_squares::HUGEINT * valued - value_sum::HUGEINT * value_sum)::DOUBLE) / nullif(valued, 0) / 1e4
        AS std_log_value,
    buyers AS distinct_buyers,
    places AS distinct_places,
    (known - first) / days(1) AS days_since_first_bid,
    (last_bid - first) / days(1) / nullif(bids - 1, 0) AS mean_gap_days,
    make_timestamptz(last_bid) AS last_bid_at,
    make_timestamptz(known) AS version_at,
    bids AS history_length
FROM running
