-- One row per tender. Times in the raw table are Indian clock times; AT TIME ZONE makes instants of them.
-- Left out: has_corrigendum (a corrigendum comes after publication, so nobody knew at published_at), org_depth (it
-- follows from the three levels).
SELECT
    notice_id,
    published_at AT TIME ZONE getvariable('zone') AS published_at,
    closes_at AT TIME ZONE getvariable('zone') AS closes_at,
    opened_at AT TIME ZONE getvariable('zone') AS opened_at,
    title,
    buyer_id,
    org_level1 AS parent,
    org_level2 AS department,
    org_leaf AS unit,
    org_leaf AS unit_name,
    location AS place,
    pincode AS place_code,
    region,
    category,
    sub_category AS subcategory,
    tender_category AS work_type,
    method,
    form_of_contract AS contract_form,
    nullif(estimated_value, 0) AS value, -- 0 means: not stated
    currency,
    emd_amount AS deposit,
    tender_fee AS fee,
    period_of_work_days AS duration_days,
    list_filter([ -- 'column=' || NULL is NULL, and is filtered out
        'contract_type=' || contract_type,
        'payment_mode=' || payment_mode,
        'num_covers=' || num_covers::INTEGER,
        'bid_validity_days=' || bid_validity_days::INTEGER,
        'has_prebid_meeting=' || has_prebid_meeting,
        'two_stage=' || two_stage,
        'itemwise_eval=' || itemwise_eval,
        'general_tech_eval=' || general_tech_eval,
        'emd_percentage=' || emd_percentage
    ], lambda fact: fact IS NOT NULL) AS attributes
FROM raw_notice
WHERE getvariable('region') IN ('', region)
