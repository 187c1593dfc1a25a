-- company_id and known_at (from when on the record stands as given) are needed.
SELECT
    tax_number AS company_id,
    registered::TIMESTAMP AT TIME ZONE getvariable('zone') AS known_at,
    town AS region,
    staff AS employees
FROM raw_supplier
