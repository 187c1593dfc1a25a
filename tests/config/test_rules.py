import math

import duckdb
import pytest

from bidrec.config import Config
from bidrec.config.files import load, meanings, tables
from bidrec.errors import ConfigurationError

SETTINGS = [
    ('memory_limit = ""', "memory_limit"),
    ('memory_limit = "plenty"', "memory_limit"),
    ('memory_limit = "1KB"', "memory_limit"),
    ('memory_limit = "49.9MB"', "memory_limit"),
    ('memory_limit = "-1"', "memory_limit"),
    ('memory_limit = "80%"', "memory_limit"),
    ('memory_limit = "4"', "memory_limit"),
    ('memory_limit = "4 G B"', "memory_limit"),
    ('memory_limit = "nan GB"', "memory_limit"),
    ('memory_limit = "٤GB"', "memory_limit"),
    ("[split]\ntrain_before = 2024-06-01\ntest_before = 2024-05-01", "split.test_before"),
    ("[split]\ntrain_before = 0001-01-01", "split.train_before"),
    ("[contract]\nmax_future_days = 2147483648", "contract.max_future_days"),
    ("[contract]\nearliest = 1899-12-31", "contract.earliest"),
    ("[training]\ndevice = 'gpu'", "training.device"),
    ("[training]\nbatch_size = 0", "training.batch_size"),
    ("[training]\nshard_tables_above_mb = 100", "training.shard_tables_above_mb"),
    ("[training]\ntable_optimiser = 'sparse_adam'\nshard_tables_above_mb = 100", "training.shard_tables_above_mb"),
    ("[training]\ntable_optimiser = 'rowwise_adagrad'\nshard_tables_above_mb = -1", "training.shard_tables_above_mb"),
    ("[model]\ntemperature_range = [1, 0.01]", "model.temperature_range"),
    ("[model]\ntemperature_range = []", "model.temperature_range"),
    ("[model]\ntemperature = 2", "model.temperature"),
    ("[loss]\nkind = 'hinge'", "loss.kind"),
    ("[loss]\nother_bidders = 'none'", "loss.other_bidders"),
    ("[loss]\nfrequency_decay = 0", "loss.frequency_decay"),
    ("[evaluation]\ntop_k = []", "evaluation.top_k"),
    ("[contract]\nmax_bad_share = 1.5", "contract.max_bad_share"),
    ("[ranking]\ncandidates = 99", "ranking.candidates"),
    ("[publish]\ntop_k = 901", "publish.top_k"),
    ("[publish]\ntop_k = 0", "publish.top_k"),
    ("[ranking]\nknown_notices = 0", "ranking.known_notices"),
    ("[ranking]\ntower_neighbours = 0", "ranking.tower_neighbours"),
    ("[ranking]\nhalf_life = 0", "ranking.half_life"),
    ("[evaluation]\nneighbours = 0", "evaluation.neighbours"),
    ("[evaluation]\npopularity_half_life = 0", "evaluation.popularity_half_life"),
    ("[evaluation]\nbackoff_half_life = 0", "evaluation.backoff_half_life"),
    ("[evaluation]\nrefresh_days = -1", "evaluation.refresh_days"),
    ("[evaluation]\nbootstrap = -1", "evaluation.bootstrap"),
    ("[training]\nepochs = 0", "training.epochs"),
    ("[training]\ncandidates = 0", "training.candidates"),
    ("[training]\npatience = 0", "training.patience"),
    ("[training]\ncheckpoints_kept = 0", "training.checkpoints_kept"),
    ("[training]\nhistory_gradients = -1", "training.history_gradients"),
    ("[training]\nweight_decay = -1", "training.weight_decay"),
    ("[training]\ncheckpoint_seconds = -1", "training.checkpoint_seconds"),
    ("[training]\nclip_norm = -1", "training.clip_norm"),
    ("[training]\nwarmup_share = -0.1", "training.warmup_share"),
    ("[training]\nwarmup_share = 3", "training.warmup_share"),
    ("[training]\nseed = -1", "training.seed"),
    ("[training]\nseed = 4294967296", "training.seed"),
    ("[model]\nhidden = [64, 0]", "model.hidden"),
    ("[model]\ncompany_hidden = 0", "model.company_hidden"),
    ("[training]\nlearning_rate = inf", "training.learning_rate"),
    ("wait_seconds = -1", "wait_seconds"),
    ("home = '/a*'", "home"),
    ("home = '/region=PT/bidrec'", "home"),
    ("[source]\npath = '/a*'", "source.path"),
    ("[split]\ntest_days = 0", "split.test_days"),
    ("[split]\nvalidation_days = 0", "split.validation_days"),
    ("[source]\noverlap_days = -1", "source.overlap_days"),
    ("[contract]\nmax_future_days = -1", "contract.max_future_days"),
    ("[drift]\nmax_psi = -0.1", "drift.max_psi"),
    ("[drift]\nmax_null_share_rise = -0.1", "drift.max_null_share_rise"),
    ("[drift]\nserving_days = 0", "drift.serving_days"),
    ("[model]\nkind = 'deep'", "model.kind"),
    ("[model]\ndropout = -0.1", "model.dropout"),
    ("[model]\ndropout = 1", "model.dropout"),
    ("[model]\nhalf_lives = []", "model.half_lives"),
    ("[model]\nhalf_lives = [7, 0]", "model.half_lives"),
    ("[model]\ntable_dim = 20\n[training]\ntable_optimiser = 'rowwise_adagrad'", "model.table_dim"),
    ("[training]\nlearning_rate = 0", "training.learning_rate"),
    ("[training]\ntable_learning_rate = 0", "training.table_learning_rate"),
    ("[training]\nstream_notices = 1", "training.stream_notices"),
    ("[training]\ntable_optimiser = 'sgd'", "training.table_optimiser"),
    ("[training]\nprecision = 'float16'", "training.precision"),
    ("[loss]\nbids = 0", "loss.bids"),
    ("[loss]\nblock = -1", "loss.block"),
    ("[loss]\nuniform_negatives = -1", "loss.uniform_negatives"),
    ("[loss]\nfrequency_buckets = -1", "loss.frequency_buckets"),
    ("[ranking]\nexposure = -0.1", "ranking.exposure"),
    ("[ranking]\nexposure = 11", "ranking.exposure"),
    ("[evaluation]\nexposures = [0, 11]", "evaluation.exposures"),
]


@pytest.mark.parametrize(("text", "key"), SETTINGS)
def test_a_setting_that_would_only_fail_hours_later_is_refused_at_once(write, text, key):
    with pytest.raises(ConfigurationError, match=key):
        load(write(text))


def numbers() -> list[tuple[str, type]]:
    classes = {"": Config, **{f"{name}.": kind for name, kind in tables().items()}}
    plain = [(prefix + name, getattr(kind(), name)) for prefix, kind in classes.items() for name in meanings(kind)]
    return [(key, float if isinstance(value, float) else int) for key, value in plain if type(value) in (int, float)]


@pytest.mark.parametrize(("key", "kind"), numbers())
def test_no_number_may_be_infinite_or_larger_than_libraries_count(key, kind):
    for value in (math.nan, math.inf, -math.inf) if kind is float else (2**63, -(2**63)):
        with pytest.raises(ConfigurationError, match=key):
            load(None, **{key.replace(".", "__"): value})


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


@pytest.mark.parametrize("kind", ["history", "static"])
def test_every_part_of_the_in_batch_loss_goes_with_both_kinds_of_model(write, kind):
    parts = "two_way = true\nlogq = true\nother_bidders = 'positive'\nuniform_negatives = 64\nfrequency_buckets = 99"
    assert load(write(f"[model]\nkind = '{kind}'\n[loss]\nkind = 'in_batch'\n{parts}")).loss_kind == "in_batch"


@pytest.mark.parametrize("size", ["50MB", "48MiB", "0.05 GB", "4g", "100000KiB", "1TB"])
def test_a_memory_limit_is_a_size_as_duckdb_reads_it(write, size):
    assert load(write(f'memory_limit = "{size}"')).memory_limit == size
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = $1", [size])
