-- What a notice is at its publication: one row per notice, whatever is said of it later (notice_status).
-- Whatever else the lake's notice has (a column a source added) is carried through as it is.
-- Never opened_at, bids or winners: nobody knew them then.
WITH measured AS (
    SELECT
        * EXCLUDE (opened_at, withdrawn_at, deposit, fee, duration_days, known_at, part, is_publication)
          REPLACE (nullif(regexp_replace(lower(trim(place)), '\s+', ' ', 'g'), '') AS place),
        -- Places are compared without capitals; people are shown them as they are written.
        nullif(regexp_replace(trim(place), '\s+', ' ', 'g'), '') AS place_name,
        -- Sizes span eight powers of ten. ln(1 + x) keeps 0 (no deposit asked) apart from NULL (not stated).
        ln(1 + value) AS log_value,
        ln(1 + deposit) AS log_deposit,
        ln(1 + fee) AS log_fee,
        ln(1 + duration_days) AS log_duration,
        -- Time left to bid, in days.
        (epoch_us(closes_at) - epoch_us(published_at)) / 86400e6 AS lead_days,
        -- Two bands per doubling, so that rules written for round sums fall on band edges.
        size_band(value) AS value_band,
        size_band(deposit) AS deposit_band,
        size_band(fee) AS fee_band,
        size_band(duration_days) AS duration_band,
        size_band(lead_days) AS lead_band,
        monthname(published_at AT TIME ZONE 'UTC') AS month,
        dayname(published_at AT TIME ZONE 'UTC') AS weekday
    FROM known_notice
    WHERE is_publication AND is_news(known_at)
)
SELECT
    *,
    -- Crosses: what two facts say together and neither says alone. NULL where one of them is.
    parent || '|' || place AS parent_place,
    place || '|' || unit AS place_unit,
    place || '|' || category AS place_category,
    place_code || '|' || unit AS place_code_unit,
    place_code || '|' || category AS place_code_category,
    unit || '|' || category AS unit_category,
    unit || '|' || contract_form AS unit_contract_form,
    unit || '|' || method AS unit_method,
    unit || '|' || value_band AS unit_value_band,
    category || '|' || value_band AS category_value_band
FROM measured
ORDER BY published_at, notice_id
