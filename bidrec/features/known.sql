-- Each row of a notice that ever stood, of the notices of which something became known since the last build: the first
-- is the notice as it was published, the later ones say what became of it. A row that was replaced before it became
-- known never stood. Reads lake_notice, read_before.
CREATE OR REPLACE TEMP VIEW known_notice AS
WITH news AS (
    SELECT DISTINCT notice_id
    FROM lake_notice
    WHERE is_news(known_at)
),
replaced AS (
    SELECT notice_id, part, lead(part) OVER (PARTITION BY notice_id ORDER BY part) AS next_part
    FROM lake_notice SEMI JOIN news USING (notice_id)
),
stood AS (
    SELECT held.*
    FROM lake_notice AS held
    JOIN replaced USING (notice_id, part)
    LEFT JOIN read_before ON read_before.part = next_part
    WHERE coalesce(known_at <= read_before.moment, true) AND known_at <= getvariable('known_until')
)
SELECT *, row_number() OVER (PARTITION BY notice_id ORDER BY part) = 1 AS is_publication FROM stood;
