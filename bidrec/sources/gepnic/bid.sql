-- One row per tender and bidder. Bids are sealed until the opening: that is when they become known.
SELECT
    bid.notice_id,
    bid.company_id,
    -- About one submission time in a thousand is marked implausible or lies after the opening: take the opening then.
    CASE WHEN bid.bid_at_plausible AND bid.bid_at <= notice.opened_at THEN bid.bid_at ELSE notice.opened_at END
        AT TIME ZONE getvariable('zone') AS event_at,
    notice.opened_at AT TIME ZONE getvariable('zone') AS known_at,
    bid.amount,
    bid.won,
    bid.passed_technical AS valid
FROM raw_bid AS bid
LEFT JOIN raw_notice AS notice USING (notice_id) -- LEFT: a bid on no notice is for the contract to find
WHERE getvariable('region') IN ('', notice.region) OR notice.notice_id IS NULL
