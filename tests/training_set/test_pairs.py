"""A million bids, given without a single feature: pairs are ids and times, resolved to row numbers."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from bidrec.storage.sealed import write_manifest
from bidrec.training_set.build import read_keys
from bidrec.training_set.tables import open_tables
from tests.training_set.tables import ACTIVITY_FIELDS, config_of, schema_of

BIDS, COMPANIES, NOTICES = 1_000_000, 20_000, 100_000
SECONDS = 365 * 86400
IDS = ("company", "notice")
POSITIONS = tuple(field for field in ACTIVITY_FIELDS if field.read == "position")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """(home, schema, the bid log, profiles, publications): random, skewed, with moments that coincide."""
    home = tmp_path_factory.mktemp("home")
    features = home / "features"
    features.mkdir()
    random = np.random.default_rng(0)
    published = np.sort(random.integers(0, SECONDS, NOTICES) // 3600 * 3600)
    company = (COMPANIES * random.random(BIDS) ** 2).astype(int)
    notice = random.integers(0, NOTICES, BIDS)
    known_at = published[notice] + random.integers(0, 40, BIDS) * 86400 // 2
    order = np.lexsort((known_at, company))
    company, notice, known_at = company[order], notice[order], known_at[order]
    begin = np.flatnonzero(np.diff(company, prepend=-1) | np.diff(known_at, prepend=-1))
    history_length = np.append(begin[1:], BIDS) - np.searchsorted(company, company[begin])
    profiles = np.unique(np.stack([random.integers(0, COMPANIES, 30_000), random.integers(0, SECONDS, 30_000)]), axis=1)
    write = {
        "notice": (dict(notice=np.arange(NOTICES), published_at=published), ""),
        "company_profile": (dict(company=profiles[0], known_at=profiles[1]), ""),
        "company_activity": (
            dict(company=company[begin], known_at=known_at[begin], history_length=history_length),
            ", history_length",
        ),
        "bid_log": (dict(company=company, notice=notice, known_at=known_at), ""),
    }
    with duckdb.connect() as connection:
        for name, (columns, more) in write.items():
            connection.register(name, pa.table(columns))
            keys = ", ".join(f"printf('{key[0]}%06d', {key}) AS {key}_id" for key in columns if key in IDS)
            time = "published_at" if name == "notice" else "known_at"
            rows = f"SELECT {keys}, to_timestamp({time}) AS {time}{more} FROM {name}"
            (features / name).mkdir()
            connection.execute(f"COPY ({rows}) TO '{features}/{name}/000001.parquet' (FORMAT parquet)")
    write_manifest(features, kind="features")
    return home, schema_of(home, (), (), POSITIONS), (company, notice, known_at), profiles, published


def test_a_million_pairs_point_at_the_version_that_plain_search_finds_and_no_feature_is_read(world):
    home, schema, (company, notice, known_at), profiles, published = world
    with open_tables(config_of(home), schema) as tables:
        keys = read_keys(tables)
    names = np.union1d(company, profiles[0])
    assert len(keys.pairs.notice) == np.count_nonzero(known_at > published[notice]) > 900_000
    unknown = 0
    for pair in np.random.default_rng(1).choice(len(keys.pairs.notice), 500, replace=False):
        number, as_of = names[keys.pairs.company[pair]], published[keys.pairs.notice[pair]]
        moments = np.concatenate([known_at[company == number], profiles[1][profiles[0] == number]])
        seen = moments[moments <= as_of]
        version = keys.pairs.version[pair]
        unknown += version < 0
        assert (version < 0) == (len(seen) == 0)
        if len(seen):
            assert (names[keys.versions.company[version]], keys.versions.known_at[version]) == (number, seen.max())
            log = slice(keys.versions.log_begin[version], keys.versions.log_end[version])
            assert np.array_equal(np.sort(known_at[log]), np.sort(known_at[(company == number) & (known_at <= as_of)]))
    assert 0 < unknown < 500


def test_a_pair_is_learned_from_when_its_bid_became_public_and_not_before(world):
    home, schema, (company, notice, known_at), _, published = world
    with open_tables(config_of(home), schema) as tables:
        pairs = read_keys(tables).pairs
    late = np.flatnonzero(known_at > published[notice])
    late = late[np.lexsort((known_at[late], company[late], notice[late]))]
    assert np.array_equal(pairs.notice, notice[late])
    assert np.array_equal(pairs.known_at, known_at[late])
