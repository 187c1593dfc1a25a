-- One row per notice and bidder, from the opening's list of ranks. Bids are sealed until the opening: that is when they
-- become known. Left out: bidprcrt and rsrvtnprce (they follow from amounts the opening draws).
SELECT
    bidntceno || '-' || bidntceord AS notice_id,
    -- Ten digits, however they are written: as in company.sql, or a company would be two.
    CASE WHEN regexp_full_match(bizno, '\d{1,9}') THEN lpad(bizno, 10, '0') ELSE bizno END AS company_id,
    coalesce(submitted, opening) AS event_at,
    opening AS known_at,
    bidprcamt AS amount,
    opengrank AS rank,
    sucsfyn = 'Y' AS won,
    coalesce(trim(dqlfctnrsn), '') = '' AS valid
FROM (
    SELECT
        bid.*,
        CASE
            WHEN regexp_full_match(bidprccorpbizrno, '\d{10}') THEN bidprccorpbizrno
            ELSE regexp_replace(
                translate(bidprccorpbizrno, '０１２３４５６７８９', '0123456789'), '[\s\pZ\pC\p{Pd}]', '', 'g'
            )
        END AS bizno,
        (bid.bidprcdate + bid.bidprctm) AT TIME ZONE getvariable('zone') AS submitted,
        -- The planned opening or the real one, whichever is later; for a bid of the second round, that round's.
        coalesce(
            CASE
                WHEN bid.bidprcdate + bid.bidprctm > greatest(notice.opengdt, notice.opengdate + notice.opengtm)
                THEN notice.rbidopengdt
            END,
            greatest(notice.opengdt, notice.opengdate + notice.opengtm),
            bid.collected_at
        ) AT TIME ZONE getvariable('zone') AS opening
    FROM raw_bid AS bid
    LEFT JOIN raw_notice AS notice USING (bidntceno, bidntceord) -- LEFT: a bid on no notice is for the contract to find
)
