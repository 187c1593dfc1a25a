-- Words that the feature tables' SQL shares.

-- Half-octave band of a size: 100 and 140 share one, 200 does not. 'zero' is a statement, NULL is none.
CREATE MACRO size_band(size) AS
    CASE WHEN size > 0 THEN floor(2 * log2(size))::INTEGER::VARCHAR WHEN size = 0 THEN 'zero' END;

-- A length of time in the unit of epoch_us.
CREATE MACRO days(number) AS number * 86400000000;

-- What became known since the last build. Bounds are constants, so that Parquet's statistics leave the past unread.
CREATE MACRO is_news(moment) AS moment > getvariable('known_after') AND moment <= getvariable('known_until');
