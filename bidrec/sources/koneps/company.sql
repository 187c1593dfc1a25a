-- One version per company, known from its last change on: the table keeps no older ones, so what a company was before
-- is not known, and is not made up. Left out: ceonm, telno, faxno, adrs and other facts about persons.
SELECT
    -- Ten digits, however they are written ('123-45-67890', full-width, the first 0 lost): as in bid.sql.
    CASE WHEN regexp_full_match(number, '\d{1,9}') THEN lpad(number, 10, '0') ELSE number END AS company_id,
    coalesce(greatest(rgstdt, chgdt) AT TIME ZONE getvariable('zone'), collected_at) AS known_at,
    corpnm AS name,
    -- '경기도 수원시 ...' is '경기도', as in a notice's region limit; a province by its name of today, likewise.
    coalesce(renamed.regions[province], province) AS region,
    rgncd AS region_code,
    mnfctdivnm AS kind,
    cntrynm AS country,
    hdoffcedivnm AS head_office,
    opbizdt AT TIME ZONE getvariable('zone') AS founded_at,
    emplyenum::DOUBLE AS employees,
    -- Licences in the codes of a notice's licence limit, where the table has them; NULL means: not known.
    list_filter(
        list_transform(string_split(indstrytycd, ','), lambda item: trim(item)), lambda item: item <> ''
    ) AS licences,
    -- Fields of business are another list of codes: facts about a company, but no licence to bid.
    list_filter(
        list_transform(string_split(corpbsnsdivcd, ','), lambda item: 'corpbsnsdivcd=' || nullif(trim(item), '')),
        lambda fact: fact IS NOT NULL
    ) AS attributes
FROM (
    SELECT
        *,
        CASE
            WHEN regexp_full_match(bizno, '\d{10}') THEN bizno
            ELSE regexp_replace(translate(bizno, '０１２３４５６７８９', '0123456789'), '[\s\pZ\pC\p{Pd}]', '', 'g')
        END AS number,
        split_part(trim(rgnnm), ' ', 1) AS province
    FROM raw_company
)
CROSS JOIN (
    SELECT map_from_entries(
        list_transform(
            string_split(getvariable('renamed_regions'), ','),
            lambda pair: (trim(split_part(pair, '=', 1)), trim(split_part(pair, '=', 2)))
        )
    ) AS regions
) AS renamed
