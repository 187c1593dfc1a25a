-- What became known of bids since the last build (known_after, known_until], with what of the past is needed to go on
-- from there: the notices and their bidders that the companies with news met last.
-- Reads lake_bid, lake_reading, the feature tables notice and company_state. News of a notice are few; the past is
-- scanned for them by one column (notice_id), and never worked through again.

-- Bids that became known or were decided; each is looked for by itself, so that statistics leave the past unread.
CREATE TEMP VIEW news AS
SELECT notice_id, company_id FROM lake_bid WHERE is_news(known_at)
UNION ALL
SELECT notice_id, company_id FROM lake_bid WHERE is_news(decided_at);

CREATE TEMP TABLE touched AS SELECT DISTINCT company_id FROM news;

CREATE TEMP TABLE held_state AS
WITH last AS (
    SELECT company_id, max(known_at) AS known_at FROM company_state SEMI JOIN touched USING (company_id) GROUP BY company_id
)
SELECT * FROM company_state SEMI JOIN last USING (company_id, known_at);

CREATE TEMP TABLE fact AS
WITH needed AS (
    SELECT notice_id FROM news
    UNION
    SELECT unnest(notices) FROM held_state
)
SELECT
    notice_id,
    published_at,
    buyer_id,
    place,
    category,
    value_band,
    -- Ten-thousandths: sums of integers are exact, in whatever order they are added.
    round(log_value * 1e4)::BIGINT AS log_value,
    regexp_extract_all(lower(title), '\p{L}[\p{L}\p{N}]+')[:8] AS terms
FROM notice_table SEMI JOIN needed USING (notice_id)
ORDER BY published_at, notice_id;

-- All that was ever told of a bid: that it was made, and who won, which may be decided later. What was replaced before
-- it became known never was told.
CREATE TEMP VIEW story AS
WITH held AS (
    SELECT notice_id, company_id, known_at, won, coalesce(decided_at > known_at, false) AS is_open, decided_at, part
    FROM lake_bid JOIN fact USING (notice_id)
    -- Not one whose notice was put off past it, when both were still to come: its buyer was not known by then.
    WHERE known_at >= published_at
),
several AS (
    SELECT DISTINCT notice_id, company_id FROM held WHERE part > getvariable('first_part') OR is_open
),
in_turn AS (
    SELECT *, lead(part) OVER in_order AS next_part, lead(known_at) OVER in_order AS next_known_at
    FROM held SEMI JOIN several USING (notice_id, company_id)
    WINDOW in_order AS (PARTITION BY notice_id, company_id ORDER BY part)
),
told AS (
    SELECT * REPLACE (CASE WHEN NOT is_open THEN won END AS won) FROM in_turn
    UNION ALL
    SELECT * REPLACE (decided_at AS known_at) FROM in_turn WHERE is_open
),
stood AS ( -- as lake_bid_stood has them, of these few bids alone
    SELECT told.*
    FROM told LEFT JOIN lake_reading ON lake_reading.part = next_part
    WHERE coalesce(known_at <= lake_reading.read_at AND known_at < next_known_at, true)
        AND known_at <= getvariable('known_until')
)
SELECT notice_id, company_id, known_at, won, NULL::BOOLEAN AS won_before, true AS is_bid
FROM held ANTI JOIN several USING (notice_id, company_id)
WHERE known_at <= getvariable('known_until')
UNION ALL
SELECT
    notice_id, company_id, known_at, won,
    lag(won) OVER in_order AS won_before,
    row_number() OVER in_order = 1 AS is_bid -- what is told later corrects it and is no second bid
FROM stood
WINDOW in_order AS (PARTITION BY notice_id, company_id ORDER BY part, known_at);

CREATE TEMP TABLE company AS SELECT company_id FROM (SELECT DISTINCT company_id FROM story) ORDER BY company_id;

-- From here on a notice is its row in `fact`, a company its row in `company`, a time microseconds since the epoch.
CREATE TEMP TABLE bidder AS
SELECT fact.rowid::INTEGER AS notice, company.rowid::INTEGER AS company, epoch_us(known_at) AS known, won
FROM story JOIN fact USING (notice_id) JOIN company USING (company_id)
WHERE is_bid
ORDER BY notice, known, company;

CREATE TEMP TABLE correction AS
SELECT fact.rowid::INTEGER AS notice, company.rowid::INTEGER AS company, epoch_us(known_at) AS known, won, won_before
FROM story JOIN fact USING (notice_id) JOIN company USING (company_id)
WHERE NOT is_bid AND is_news(known_at) AND won IS DISTINCT FROM won_before;
