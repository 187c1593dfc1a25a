-- notice_id, company_id, event_at (submitted) and known_at (public) are needed. These offers have no time of their own:
-- they count from the deadline, when they are opened. If the award comes later, give its time as decided_at: otherwise
-- `won` counts from the deadline too.
SELECT
    offer.tender AS notice_id,
    offer.tax_number AS company_id,
    tender.deadline AT TIME ZONE getvariable('zone') AS event_at,
    tender.deadline AT TIME ZONE getvariable('zone') AS known_at,
    offer.price AS amount,
    offer.accepted AS won
FROM raw_offer AS offer
LEFT JOIN raw_tender AS tender ON tender.number = offer.tender
