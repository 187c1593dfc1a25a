import dataclasses
import math

import duckdb
import pytest

from bidrec.config import Config, read
from bidrec.config.read import load
from bidrec.config.rules import rules
from bidrec.errors import ConfigurationError

SETTINGS = [
    *(
        (f'memory_limit = "{size}"', "memory_limit must be a size of at least 50MB, such as '4GB', not '")
        for size in ("", "plenty", "1KB", "49.9MB", "-1", "80%", "4", "4 G B", "nan GB", "٤GB")
    ),
    ("[split]\ntrain_before = 2024-06-01\ntest_before = 2024-05-01", "test_before must be after"),
    ("[split]\ntrain_before = 0001-01-01", "train_before and test_before must lie between 1900 and 2200"),
    ("[contract]\nmax_future_days = 2147483648", "must be at most 36500 days"),
    ("[contract]\nearliest = 1899-12-31", "contract.earliest must not be before 1900"),
    ("[training]\ndevice = 'gpu'", "training.device must be"),
    ("[training]\nbatch_size = 0", "batch_size, candidates, patience and checkpoints_kept must be at least 1"),
    ("[training]\nshard_tables_above_mb = 100", "and 0 unless training.table_optimiser is 'rowwise_adagrad'"),
    (
        "[training]\ntable_optimiser = 'sparse_adam'\nshard_tables_above_mb = 100",
        "and 0 unless training.table_optimiser is 'rowwise_adagrad'",
    ),
    (
        "[training]\ntable_optimiser = 'rowwise_adagrad'\nshard_tables_above_mb = -1",
        "training.shard_tables_above_mb must be at least 0",
    ),
    ("[model]\ntemperature_range = [1, 0.01]", "temperature_range must be a positive pair, the smaller first"),
    ("[model]\ntemperature_range = []", "temperature_range must be a positive pair"),
    ("[model]\ntemperature = 2", "temperature must lie in model.temperature_range"),
    ("[loss]\nkind = 'hinge'", "loss.kind must be 'all_bidders', 'in_batch' or ''"),
    ("[loss]\nother_bidders = 'none'", "loss.other_bidders must be"),
    ("[loss]\nfrequency_decay = 0", "loss.frequency_decay must lie in"),
    ("[evaluation]\ntop_k = []", "evaluation.top_k"),
    ("[contract]\nmax_bad_share = 1.5", "max_bad_share must lie in"),
    ("[ranking]\ncandidates = 99", "publish.top_k must be at most ranking.candidates"),
    ("[publish]\ntop_k = 901", "publish.top_k must be at most ranking.candidates"),
    ("[publish]\ntop_k = 0", "publish.top_k must be at least 1"),
    ("[ranking]\nknown_notices = 0", "known_notices must be at least 1"),
    ("[ranking]\ntower_neighbours = 0", "tower_neighbours and known_notices must be at least 1"),
    ("[ranking]\nhalf_life = 0", "ranking.half_life must be positive days"),
    ("[evaluation]\nneighbours = 0", "evaluation.neighbours must be at least 1"),
    *(
        (f"[evaluation]\n{name} = 0", "popularity_half_life and backoff_half_life must be positive days")
        for name in ("popularity_half_life", "backoff_half_life")
    ),
    *(
        (f"[evaluation]\n{name} = -1", "evaluation.notices, refresh_days and bootstrap must be at least 0")
        for name in ("refresh_days", "bootstrap")
    ),
    *(
        (f"[training]\n{name} = 0", "batch_size, candidates, patience and checkpoints_kept must be at least 1")
        for name in ("epochs", "candidates", "patience", "checkpoints_kept")
    ),
    *(
        (f"[training]\n{name} = -1", "weight_decay, checkpoint_seconds and clip_norm must be at least 0")
        for name in ("history_gradients", "weight_decay", "checkpoint_seconds", "clip_norm")
    ),
    *((f"[training]\nwarmup_share = {share}", "warmup_share must lie in") for share in (-0.1, 3)),
    *((f"[training]\nseed = {seed}", "seed must be at least 0 and have at most 32") for seed in (-1, 2**32)),
    *(
        (f"[model]\n{line}", "hidden, company_hidden, history_length and training_history must be at least 1")
        for line in ("hidden = [64, 0]", "company_hidden = 0")
    ),
    ("[training]\nlearning_rate = inf", "training.learning_rate must be a finite number"),
    ("wait_seconds = -1", "wait_seconds must be at least 0"),
    ("home = '/a*'", "home may not hold any of"),
    ("home = '/region=PT/bidrec'", "home may not hold any of"),
    ("[source]\npath = '/a*'", "source.path may not hold any of"),
    *(
        (f"[split]\n{name} = 0", "split.validation_days must be at least 1")
        for name in ("test_days", "validation_days")
    ),
    ("[source]\noverlap_days = -1", "source.overlap_days must be at least 0"),
    ("[contract]\nmax_future_days = -1", "contract.max_future_days must be at least 0"),
    *(
        (f"[drift]\n{name} = -0.1", "drift.max_psi and max_null_share_rise must not be negative")
        for name in ("max_psi", "max_null_share_rise")
    ),
    ("[drift]\nserving_days = 0", "drift.serving_days must be at least 1"),
    ("[model]\nkind = 'deep'", "model.kind must be 'history' or 'static'"),
    *((f"[model]\ndropout = {share}", "fact_dropout must lie in") for share in (-0.1, 1)),
    *((f"[model]\nhalf_lives = {days}", "half_lives must be positive days") for days in ("[]", "[7, 0]")),
    (
        "[model]\ntable_dim = 20\n[training]\ntable_optimiser = 'rowwise_adagrad'",
        r"table_dim must be divisible by 16 \(`history`\)",
    ),
    *(
        (f"[training]\n{name} = 0", "learning_rate and table_learning_rate must be positive")
        for name in ("learning_rate", "table_learning_rate")
    ),
    ("[training]\nstream_notices = 1", "stream_notices must be at least 0, and 0 with model.kind 'history'"),
    ("[training]\ntable_optimiser = 'sgd'", "table_optimiser must be 'adam'"),
    ("[training]\nprecision = 'float16'", "training.precision must be 'float32' or 'bfloat16'"),
    ("[loss]\nbids = 0", "loss.bids must be at least 1"),
    *(
        (f"[loss]\n{name} = -1", "block, uniform_negatives and frequency_buckets must be at least 0")
        for name in ("block", "uniform_negatives", "frequency_buckets")
    ),
    ("[evaluation]\nfurther_rivals = ['als']", "further_rivals can only hold 'lightfm'"),
    *((f"[ranking]\nexposure = {strength}", r"must lie in \[0, 10\]") for strength in (-0.1, 11)),
    ("[evaluation]\nexposures = [0, 11]", r"must lie in \[0, 10\]"),
]


@pytest.mark.parametrize(("text", "message"), SETTINGS)
def test_a_setting_that_would_only_fail_hours_later_is_refused_at_once(write, text, message):
    with pytest.raises(ConfigurationError, match=message):
        load(write(text))


TABLES = {field.name: field.type for field in dataclasses.fields(Config) if dataclasses.is_dataclass(field.type)}
NUMBERS = [
    (key, setting.type)
    for prefix, table in {"": Config, **{f"{name}.": table for name, table in TABLES.items()}}.items()
    for setting in dataclasses.fields(table)
    if setting.type in (int, float, tuple[int, ...], tuple[float, ...])
    for key in [prefix + setting.name]
]


@pytest.mark.parametrize(("key", "kind"), NUMBERS, ids=[key for key, _ in NUMBERS])
def test_no_number_may_be_infinite_or_none_at_all_or_larger_than_libraries_count(key, kind):
    endless = (math.nan, math.inf, -math.inf) if kind in (float, tuple[float, ...]) else ()
    for value in (2**63, -(2**63), *endless):
        given = value if kind in (int, float) else (1, value)
        with pytest.raises(ConfigurationError, match=f"{key} must be a finite number of at most 64 bits"):
            load(None, **{key.replace(".", "__"): given})


LOSSES = [
    ("[model]\nkind = 'static'\n[loss]\nkind = 'all_bidders'", "'all_bidders' needs model.kind 'history'"),
    ("[loss]\nlogq = true\ntwo_way = true", "loss.two_way, loss.logq can only be set with loss.kind 'in_batch'"),
    ("[loss]\nother_bidders = 'masked'", "loss.other_bidders can only be set with loss.kind 'in_batch'"),
    ("[loss]\nkind = 'in_batch'\nblock = 10", "loss.block can only be set with loss.kind 'all_bidders'"),
    ("[model]\nkind = 'static'\n[loss]\nblock = 10", "loss.block can only be set with loss.kind 'all_bidders'"),
    ("[model]\nkind = 'static'\n[loss]\nbids = 10", "loss.bids can only be set with model.kind 'history'"),
]


@pytest.mark.parametrize(("text", "message"), LOSSES)
def test_a_loss_that_makes_no_sense_with_its_steps_is_refused_and_says_why(write, text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(write(text))
    assert caught.value.exit_code == 64


def test_every_rule_has_a_setting_here_that_breaks_it(write, monkeypatch):
    held = []
    monkeypatch.setattr(read, "broken", lambda config: held.append([*rules(config).values()]) or [])
    for text, _ in [*SETTINGS, *LOSSES]:
        load(write(text))
    never_broken = [
        rule for rule, held_by_each in zip(rules(Config()), zip(*held, strict=True), strict=True) if all(held_by_each)
    ]
    assert never_broken == []


@pytest.mark.parametrize("kind", ["history", "static"])
def test_every_part_of_the_in_batch_loss_goes_with_both_kinds_of_model(write, kind):
    parts = "two_way = true\nlogq = true\nother_bidders = 'positive'\nuniform_negatives = 64\nfrequency_buckets = 99"
    assert load(write(f"[model]\nkind = '{kind}'\n[loss]\nkind = 'in_batch'\n{parts}")).loss_kind == "in_batch"


@pytest.mark.parametrize("size", ["50MB", "48MiB", "0.05 GB", "4g", "100000KiB", "1TB"])
def test_a_memory_limit_is_a_size_as_duckdb_reads_it(write, size):
    assert load(write(f'memory_limit = "{size}"')).memory_limit == size
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = $1", [size])
