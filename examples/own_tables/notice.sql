-- notice_id and published_at are needed; every other canonical column may be left out.
SELECT
    number AS notice_id,
    published AT TIME ZONE getvariable('zone') AS published_at,
    deadline AT TIME ZONE getvariable('zone') AS closes_at,
    deadline AT TIME ZONE getvariable('zone') AS opened_at,
    subject AS title,
    department AS unit,
    town AS place,
    cpv AS category,
    estimate AS value,
    'EUR' AS currency
FROM raw_tender
