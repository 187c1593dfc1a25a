-- A company's static record, one row per version that came true; other columns of the lake's company are carried through.
SELECT
    * EXCLUDE (employees, part),
    ln(1 + employees) AS log_employees,
    known_at AS version_at
FROM lake_company_stood
WHERE is_news(known_at)
ORDER BY company_id, known_at
