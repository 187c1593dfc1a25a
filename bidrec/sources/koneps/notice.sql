-- One row per notice and re-notice (bidntceord > 0): each has its own time, its own deadline and its own bidders.
--
-- Left out on purpose, because nobody knew them when the notice was published:
--   fnlsucsf*, opengdate, opengtm, opengrsltdivnm, cntrctcnclssttusnm, bidwinrdcsnmthdnm   the opening and the award
--   rbidopengdt                                                          a second round of bids, if there is one
--   bssamt and what is released with it at bssamtopendt (rsrvtnprcerngbgnrate, rsrvtnprcerngendrate, evlbssamt,
--   *bssrate, dfcltydgrcfcnt, sftymngcst ... qltymngcst, bidprcecalclayn, qltymngcstaobjyn)  days after publication
--   chgdt, chgntcersn                                                    later changes of the notice (chgdt dates a
--                                                                        withdrawal, which is no feature)
-- And for other reasons: sucsfbidmthdcd (says what sucsfbidmthdnm says), all names and numbers of officials.
SELECT
    bidntceno || '-' || bidntceord AS notice_id,
    -- Nobody could read it before it was both dated and registered.
    greatest(bidntcedt, rgstdt) AT TIME ZONE getvariable('zone') AS published_at,
    bidclsedt AT TIME ZONE getvariable('zone') AS closes_at,
    opengdt AT TIME ZONE getvariable('zone') AS opened_at,
    -- Called off by a notice of the kind '취소공고' with the same number, itself or one of a later order; or replaced
    -- by one of a later order (변경공고) before it closed: bids go to the newest order alone.
    list_min(
        list_transform(
            list_filter(
                of_number.orders,
                lambda other: (other.cancels AND other.bidntceord >= notice.bidntceord)
                    OR (other.bidntceord > notice.bidntceord AND other.dated < notice.bidclsedt)
            ),
            lambda other: CASE WHEN other.cancels THEN greatest(other.dated, other.chgdt) ELSE other.dated END
        )
    ) AT TIME ZONE getvariable('zone') AS withdrawn_at,
    bidntcenm AS title,
    ntceinsttcd AS buyer_id,
    ntceinsttnm AS buyer_name,
    split_part(trim(ntceinsttnm), ' ', 1) AS parent, -- '경기도 수원시 팔달구' belongs to '경기도'
    dminsttcd AS unit,
    dminsttnm AS unit_name,
    cnstrtsitergnnm AS place,
    split_part(trim(cnstrtsitergnnm), ' ', 1) AS region,
    maincnsttynm AS category,
    subsicnsttynm1 AS subcategory,
    bsnsdivnm AS work_type,
    bidmethdnm AS method,
    cntrctcnclsmthdnm AS contract_form,
    sucsfbidmthdnm AS award_method,
    coalesce(nullif(presmptprce, 0), nullif(bdgtamt, 0)) AS value, -- 0 means: not stated
    'KRW' AS currency,
    list_filter([ -- 'column=' || NULL is NULL, and is filtered out
        'rentceyn=' || rentceyn,
        'intrbidyn=' || intrbidyn,
        'cmmnspldmdagrmntrcptdocmethd=' || cmmnspldmdagrmntrcptdocmethd,
        'rbidpermsnyn=' || rbidpermsnyn,
        'arsltappldocrcptmthdnm=' || arsltappldocrcptmthdnm,
        'dtlsbidyn=' || dtlsbidyn,
        'bidprtcptlmtyn=' || bidprtcptlmtyn,
        'prearngprcedcsnmthdnm=' || prearngprcedcsnmthdnm,
        'totprdprcnum=' || totprdprcnum,
        'drwtprdprcnum=' || drwtprdprcnum,
        'aplbsscntnts=' || aplbsscntnts,
        'cmmnspldmdcnum=' || cmmnspldmdcnum,
        'cmmnspldmdmethdnm=' || cmmnspldmdmethdnm,
        'brffcbidprcpermsnyn=' || brffcbidprcpermsnyn,
        'dsgntcmptyn=' || dsgntcmptyn,
        'arsltcmptyn=' || arsltcmptyn,
        'pqevalyn=' || pqevalyn,
        'rsrvtnprceremkngmthdnm=' || rsrvtnprceremkngmthdnm,
        'sucsfbidlwltrate=' || sucsfbidlwltrate,
        'indstrytylmtyn=' || indstrytylmtyn,
        'rgndutyjntcontrctyn=' || rgndutyjntcontrctyn,
        'ciblaplyn=' || ciblaplyn,
        'mtltyadvcpsblyn=' || mtltyadvcpsblyn
    ], lambda fact: fact IS NOT NULL) AS attributes,
    -- Comma lists. A licence is '기상장비업/3562': its code is what companies are listed with.
    -- Of a limit to '경기도 수원시' the province: within it, companies' records say no more than theirs.
    list_sort(list_distinct(list_transform(
        list_filter(
            list_transform(string_split(prtcptpsblrgnnm, ','), lambda item: split_part(trim(item), ' ', 1)),
            lambda item: item NOT IN ('', '전국') -- the whole country is no limit
        ),
        lambda item: coalesce(renamed.regions[item], item)
    ))) AS region_limit,
    list_filter(
        list_transform(
            string_split(coalesce(lcnslmtnm, permsnindstrytylist), ','),
            lambda item: trim(split_part(item, '/', -1), ' []')
        ),
        lambda item: item <> ''
    ) AS licence_limit,
    TRY_CAST(bidntceord AS INTEGER) AS reissue
FROM raw_notice AS notice
LEFT JOIN (
    SELECT
        bidntceno,
        list({
            'bidntceord': bidntceord,
            'cancels': coalesce(ntcekindnm LIKE '취소%', false),
            'dated': greatest(bidntcedt, rgstdt),
            'chgdt': chgdt
        }) AS orders
    FROM raw_notice GROUP BY bidntceno HAVING count(*) > 1 OR bool_or(ntcekindnm LIKE '취소%')
) AS of_number USING (bidntceno)
CROSS JOIN (
    SELECT map_from_entries(
        list_transform(
            string_split(getvariable('renamed_regions'), ','),
            lambda pair: (trim(split_part(pair, '=', 1)), trim(split_part(pair, '=', 2)))
        )
    ) AS regions
) AS renamed
