-- One version per company: its (hashed) name is first seen when one of its bids is opened.
SELECT
    company_id,
    first_bid.opened_at AT TIME ZONE getvariable('zone') AS known_at,
    company.region,
    list_filter([
        'name_type=' || company.name_type,
        'n_name_tokens=' || company.n_name_tokens
    ], lambda fact: fact IS NOT NULL) AS attributes
FROM raw_company AS company
JOIN (
    SELECT company_id, min(notice.opened_at) AS opened_at
    FROM raw_bid JOIN raw_notice AS notice USING (notice_id)
    GROUP BY company_id
) AS first_bid USING (company_id)
WHERE getvariable('region') IN ('', company.region)
