-- Each row of a notice that ever stood, of the notices of which something became known since the last build: the first
-- is the notice as it was published, the later ones say what became of it. A row that was replaced before it became
-- known never stood. Reads lake_notice, lake_notice_stood.
CREATE OR REPLACE TEMP VIEW known_notice AS
WITH news AS (
    SELECT DISTINCT notice_id
    FROM lake_notice
    WHERE is_news(known_at)
)
SELECT *, row_number() OVER (PARTITION BY notice_id ORDER BY part) = 1 AS is_publication
FROM lake_notice_stood SEMI JOIN news USING (notice_id)
WHERE known_at <= getvariable('known_until');
