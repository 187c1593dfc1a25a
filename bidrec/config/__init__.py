"""Configuration: one frozen pydantic dataclass for each table of the TOML file, with a default for every key.

Types hold the range of a key; `Config.conflicts` holds the rules that span keys. bidrec.config.files reads the file. A
string may name environment variables as `${NAME}`; secrets live there and nowhere else.
"""

import dataclasses
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = [
    "Config",
    "Contract",
    "Drift",
    "Evaluation",
    "Loss",
    "Model",
    "Publish",
    "Ranking",
    "Source",
    "Split",
    "Tracking",
    "Training",
]

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)
_MOST = 2**63 - 1
_CENTURY = 36_500
"""Days."""


def _size(text: str) -> str:
    """A size as DuckDB reads it (`4GB`, `500 MiB`), of at least 50 MB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(B|iB)?", text.strip(), re.IGNORECASE | re.ASCII)
    if found:
        number, unit, suffix = found.groups()
        if float(number) * (1024 if suffix and len(suffix) == 2 else 1000) ** ("KMGT".index(unit.upper()) + 1) >= 50e6:
            return text
    raise ValueError("must be a size of at least 50MB, such as '4GB'")


def _day(value: Any) -> Any:
    """A TOML date, or its text; a time of day is refused, because its day depends on the zone."""
    try:
        return (date.fromisoformat(value) if value else None) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a date, such as 2025-01-31") from None


def _text(path: Any) -> Any:
    """A path as text, which Python callers may give as a Path."""
    return str(path) if isinstance(path, Path) else path


def _pair(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 2 or not 0 < value[0] <= value[1]:
        raise ValueError("must be a positive pair, the smaller first")
    return value


Count = Annotated[int, Field(ge=0, le=_MOST)]
Positive = Annotated[int, Field(ge=1, le=_MOST)]
Days = Annotated[int, Field(ge=0, le=_CENTURY)]
SomeDays = Annotated[int, Field(ge=1, le=_CENTURY)]
AtLeast0 = Annotated[float, Field(ge=0, le=2.0**62)]
Above0 = Annotated[float, Field(gt=0, le=2.0**62)]
Share = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(ge=0, le=10)]
Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1900, 1, 1), lt=date(2200, 1, 1))]
Array = Field(strict=False)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Model:
    kind: Literal["history", "static"] = "history"
    """`history`: a company is represented by its bids, read through the notice tower. `static`: two plain towers."""
    embedding_dim: Positive = 64
    """Length of the published vectors."""
    members: Positive = 2
    """`history`: how many pairs of towers learn side by side, each with vectors of `embedding_dim`. Their vectors are
    concatenated and rotated down to one of `embedding_dim`."""
    table_dim: Positive = 128
    """Length of the rows of the embedding tables (`history`: a quarter of it in the company tower)."""
    hidden: Annotated[tuple[Positive, ...], Array] = (256, 128)
    """Widths of the notice tower's hidden layers (`static`: of both towers)."""
    company_hidden: Positive = 128
    """`history`: width of the company tower's hidden layer."""
    dropout: Dropout = 0.3
    """Dropout after the notice tower's first layer (`static`: in both towers)."""
    fact_dropout: Dropout = 0.5
    """`history`: share of companies whose activity numbers are hidden in a training step."""
    half_lives: Annotated[tuple[Above0, ...], Field(strict=False, min_length=1)] = (60.0, 400.0)
    """`history`: half-lives of the decayed means over a company's history, in days."""
    history_length: Positive = 128
    """`history`: how many bids of a company's history are read, newest first."""
    training_history: Positive = 48
    """`history`: how many of them a training step reads. More cost time and teach little."""
    temperature: Above0 = 0.07
    """Starting temperature of the cosine softmax."""
    learn_temperature: bool = True
    """Whether the temperature is learned."""
    temperature_range: Annotated[tuple[AtLeast0, ...], Array, AfterValidator(_pair)] = (0.01, 1.0)
    """Lowest and highest temperature that learning may reach."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Loss:
    """What training minimises: always a softmax of cosines over the temperature, with bids as targets."""

    kind: Literal["", "all_bidders", "in_batch"] = ""
    """`all_bidders`: a softmax over all known companies with every bidder as a target (`history` only). `in_batch`:
    over the companies of a batch of bids. Empty: `all_bidders` for `history`, `in_batch` for `static`."""
    block: Count = 0
    """`all_bidders`: how many companies are scored at a time, which bounds a step's memory. 0: all at once."""
    bids: Positive = 2048
    """`in_batch` with `history`: at most this many bids are drawn from a stretch of notices."""
    two_way: bool = False
    """`in_batch`: also learn in the other direction, from companies to the batch's notices."""
    other_bidders: Literal["negative", "masked", "positive"] = "negative"
    """`in_batch`: how a notice's other bidders in the batch count for it: `negative`, `masked` or `positive`."""
    uniform_negatives: Count = 0
    """`in_batch`: how many known companies are drawn uniformly as further negatives (mixed negatives)."""
    logq: bool = False
    """`in_batch`: correct each score by the log of how often its company (or notice) is drawn in a step."""
    frequency_decay: Annotated[float, Field(gt=0, le=1)] = 0.05
    """`logq`: weight of the newest gap in the running estimate of that frequency."""
    frequency_buckets: Count = 0
    """`logq`: number of counters that ids are hashed into. 0: one counter per id, exact."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Training:
    epochs: Positive = 3
    """Passes over the training notices (`history`) or pairs (`static`)."""
    batch_size: Positive = 512
    """Notices (`history`; fewer if an epoch would have less than 40 steps) or pairs (`static`) per step."""
    learning_rate: Above0 = 5e-3
    """Adam's learning rate after the warm-up."""
    weight_decay: AtLeast0 = 0.0
    """Adam's weight decay. It does not apply to embedding tables under `sparse_adam` or `rowwise_adagrad`."""
    table_optimiser: Literal["adam", "sparse_adam", "rowwise_adagrad"] = "adam"
    """How the embedding tables learn: `adam` updates all rows in every step; `sparse_adam` and `rowwise_adagrad`, for
    large vocabularies, only those that a batch reads. Row-wise Adagrad keeps one number per row, Adam twice the table.
    With `rowwise_adagrad`, `model.table_dim` must be a multiple of 16 (`static`: 4)."""
    table_learning_rate: Above0 = 0.05
    """Row-wise Adagrad's learning rate, with the same warm-up and decay."""
    shard_tables_above_mb: AtLeast0 = 0.0
    """With several processes: embedding tables larger than this, in million bytes, are split among them; the others are
    copied to each. Only with `training.table_optimiser` `rowwise_adagrad`. 0: all are copied."""
    warmup_share: Share = 0.05
    """Share of all steps over which the learning rate rises linearly; it then falls linearly to zero."""
    candidates: Positive = 16384
    """`history`: companies in the softmax: all known ones if there are at most this many, otherwise the bidders and a
    uniform sample."""
    history_gradients: Count = 4096
    """`history`: how many notices of the companies' histories get gradients in a step, drawn in proportion to how often
    they are read. The others are read from a cache of the notice tower's outputs."""
    whole_notices: bool = False
    """`static`: batches hold all bids of some notices instead of random pairs, so the notice tower runs once per
    notice. Faster; it ranks as well with `loss.logq`, worse without."""
    stream_notices: Count = 0
    """`static`: for a training set larger than memory, how many notices are shuffled together and read ahead. 0: all of
    them."""
    patience: Positive = 2
    """How many epochs without a better validation Recall@100 end the training. Of the epochs within .01 of the best,
    the last one's weights are kept."""
    refit: bool = True
    """Once the validation window has chosen the number of epochs, refit on everything known before the cutoff: the
    newest notices teach most."""
    checkpoint_seconds: Count = 60
    """Seconds between checkpoints; longer if they would cost more than 2 % of the time. 0: at each step."""
    checkpoints_kept: Positive = 2
    """How many of the newest checkpoints are kept."""
    clip_norm: AtLeast0 = 0.0
    """Scale gradients of the networks down to this norm if they are longer; with `training.table_optimiser` `adam`,
    those of the tables too. 0: never."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """`float32`, or `bfloat16` for the towers' layers; weights, vectors and loss stay float32."""
    compile: bool = False
    """Compile the towers' layers. Needs a C++ compiler on a CPU, a C compiler on a GPU."""
    deterministic: bool = False
    """Use only algorithms that give the same bits each time; stop if there is none."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 7
    """The same seed and data give the same weights."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU if there is one."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Source:
    """Where notices, companies and bids come from."""

    name: str = ""
    """A built-in source (`koneps`, `gepnic`), or a folder with `source.toml`, `notice.sql`, `company.sql` and
    `bid.sql`."""
    path: str = ""
    """Folder of CSV or Parquet dumps: notice.*, company.*, bid.*."""
    url: str = "${BIDREC_SOURCE_URL}"
    """postgresql:// address, used when `path` is empty. Keep it in the environment: it holds a password."""
    schema: str = "public"
    """PostgreSQL schema of the three tables."""
    overlap_days: Days = 7
    """How many days before the last ingest a database is asked for changes again, because rows may reach its tables
    late."""
    parameters: dict[str, str] = dataclasses.field(default_factory=dict)
    """Values that the source's SQL reads with `getvariable('name')`."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Contract:
    max_bad_share: Share = 0.01
    """Largest share of rows of a table that may be quarantined before the job stops with 65; of few new rows, of the
    last 1,000."""
    earliest: Day = date(1990, 1, 1)
    """Times before this day (UTC) are bad."""
    max_future_days: Days = 730
    """Times later than this many days after the ingest are bad."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Split:
    """Global time split on `published_at`; all days are UTC midnights."""

    train_before: Annotated[Day | None, BeforeValidator(_day)] = None
    """The cutoff: nothing known at or after it is trained on. Empty: `test_days` before `split.test_before`, or, if
    that is empty too, before the day of the newest opening."""
    test_before: Annotated[Day | None, BeforeValidator(_day)] = None
    """End of the test window (exclusive). Empty: `test_days` after the cutoff."""
    test_days: SomeDays = 60
    """Length of the test window in days, if its dates are not given."""
    validation_days: SomeDays = 45
    """Length in days of the validation window, just before the cutoff, which decides when to stop."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Ranking:
    """The second stage: what the towers and the neighbours find, ordered by all that is known of each pair."""

    candidates: Positive = 900
    """At most this many companies are looked at for a notice: a third found by the towers, a third by each of the two
    kinds of neighbours. At least `publish.top_k`."""
    neighbours: Positive = 1000
    """How many notices with known bids, the most alike in title and attributes, have their bidders looked at."""
    tower_neighbours: Positive = 500
    """How many notices with known bids, the nearest in the towers' space, have their bidders looked at."""
    known_notices: Positive = 300_000
    """How many of the newest notices with known bids may be such neighbours."""
    half_life: Above0 = 400.0
    """Half-life of a known bid's weight in the second stage, in days."""
    eligibility: bool = True
    """Exclude from a notice's candidates the companies outside its region limit or without any of the licences it asks
    for: in the second stage, in every ranking that is evaluated, and in what is published. An unknown limit or company
    record excludes nobody."""
    exposure: Strength = 0.0
    """When a notice's companies are ordered, a company's score loses this much per unit of ln(1 + its known bids, each
    halved every 400 days). Higher values show small firms more often; published probabilities stay as they are
    (docs/ranking.md)."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Evaluation:
    notices: Count = 20_000
    """At most this many notices of the test window, spread evenly over it, are ranked by each ranker. 0: all."""
    top_k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (10, 50, 100)
    """Lengths K of the lists that are measured."""
    refresh_days: Days = 7
    """Days between refreshes of companies and baselines in the rolling evaluation; the weights stay. 0: no rolling
    evaluation."""
    bootstrap: Count = 1000
    """How many resamples of the test notices the 95 % intervals rest on. 0: no intervals."""
    popularity_half_life: Above0 = 180.0
    """Half-life of the popularity baseline's counts, in days."""
    backoff_half_life: Above0 = 400.0
    """Half-life of the buyer and place+category baselines' counts, in days."""
    neighbours: Positive = 1000
    """How many nearest notices vote in the kNN baseline over text and attributes."""
    exposures: Annotated[tuple[Strength, ...], Array] = (0.0, 0.1, 0.3, 1.0)
    """Strengths of `ranking.exposure` whose cost and effect are measured. `[]`: none."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Publish:
    top_k: Positive = 100
    """Companies written per open notice, and open notices per company."""
    margin: float = 0.0
    """How far a model's Recall@100 may be below the best baseline's and still be published. The same holds against the
    published run, if both were measured on the same window of the same data. Below zero: how far above it must be."""
    url: str = "${BIDREC_EXPORT_URL}"
    """`postgresql://` address that `bidrec recommend --all --format postgres` writes to. Keep it in the environment: it
    holds a password."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Drift:
    """How far a field may shift from the training window: in the validation and test windows, and at write-back."""

    refuse: bool = False
    """Whether a field beyond its bound ends the job with 65. Otherwise a warning names it."""
    max_psi: AtLeast0 = 2.0
    """Largest population stability index (PSI) against the training window, beyond what chance gives samples of that
    size."""
    max_null_share_rise: AtLeast0 = 0.2
    """Largest rise of the share of rows without a value, beyond chance."""
    exceptions: Annotated[tuple[str, ...], Array] = (
        "bids_all",
        "bids_365d",
        "wins_all",
        "distinct_buyers",
        "distinct_places",
        "days_since_first_bid",
    )
    """Fields held to no bound, as `name` or `side.name`; the side is `notice`, `profile` (a company's record) or
    `version` (its activity). The default ones grow with the age of the data."""
    serving_days: SomeDays = 14
    """At write-back, the rows that became known in this many days before the as-of are held to the bounds."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Tracking:
    """What a finished run is told to, beside its own files (requirements/tracking.txt); never stops a run."""

    mlflow: str = ""
    """Address of an MLflow tracking server or store (`http://...`, `file:///...`) that finished runs are logged to.
    Empty: none."""
    tensorboard: bool = False
    """Whether a finished run also writes `runs/ID/tensorboard`. Both trackers need `pip install -r
    requirements/tracking.txt` and never stop a run."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Config:
    home: Annotated[str, BeforeValidator(_text)] = "${BIDREC_HOME}"
    """The one folder bidrec writes to. Empty: `./.bidrec`."""
    feature_repo: str = ""
    """Folder of the Feast repository, whose FeatureService is the model's schema. Empty: the one that comes with
    bidrec."""
    feature_store: str = ""
    """The `feature_store.yaml` that names Feast's registry and stores. Empty: the file that `FEAST_FS_YAML_FILE_PATH`
    names (Feast's own commands read it too), otherwise the one in the Feast repository."""
    memory_limit: Annotated[str, AfterValidator(_size)] = "4GB"
    """DuckDB's memory limit in every step, at least 50 MB. Beyond it DuckDB spills to the home (`bidrec check`: to the
    system's temporary folder)."""
    wait_seconds: AtLeast0 = 60.0
    """How many seconds a job waits for another of its kind in the same home before it ends with 75. `--wait SECONDS`
    sets it for one call."""
    source: Source = dataclasses.field(default_factory=Source)
    contract: Contract = dataclasses.field(default_factory=Contract)
    split: Split = dataclasses.field(default_factory=Split)
    model: Model = dataclasses.field(default_factory=Model)
    loss: Loss = dataclasses.field(default_factory=Loss)
    training: Training = dataclasses.field(default_factory=Training)
    ranking: Ranking = dataclasses.field(default_factory=Ranking)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    publish: Publish = dataclasses.field(default_factory=Publish)
    drift: Drift = dataclasses.field(default_factory=Drift)
    tracking: Tracking = dataclasses.field(default_factory=Tracking)

    @property
    def home_path(self) -> Path:
        """The home as an absolute path (Feast reads relative ones from two different folders)."""
        return Path(self.home or ".bidrec").expanduser().resolve()

    @property
    def loss_kind(self) -> str:
        """`all_bidders` or `in_batch`: what is configured, or what suits the model's kind."""
        return self.loss.kind or ("all_bidders" if self.model.kind == "history" else "in_batch")

    def as_dict(self) -> dict[str, Any]:
        """The resolved configuration for a manifest; the addresses, which may hold a password, are left out."""
        value = dataclasses.asdict(self)
        del value["source"]["url"], value["publish"]["url"], value["tracking"]["mlflow"]
        return value

    def conflicts(self) -> list[str]:
        """The rules that span keys and are broken, one sentence each."""
        return [sentence for sentence, holds in _rules(self).items() if not holds]


def _rules(config: Config) -> dict[str, bool]:
    """Sentence -> whether it holds. Each of these would only fail, or hang, hours later."""
    split, model, training, loss, plain = config.split, config.model, config.training, config.loss, Loss()
    history, in_batch, rowwise = (
        model.kind == "history",
        config.loss_kind == "in_batch",
        training.table_optimiser == "rowwise_adagrad",
    )
    of_batches = ("bids", "two_way", "other_bidders", "uniform_negatives", "logq")
    misplaced = ", ".join(f"loss.{name}" for name in of_batches if getattr(loss, name) != getattr(plain, name))
    return {
        # DuckDB would read them as patterns or partitions, and Feast as parts of an address.
        "home may not hold any of * ? [ ] # =": not {*"*?[]#="} & {*str(config.home_path)},
        "source.path may not hold any of * ? [ ]": not {*"*?[]"} & {*config.source.path},
        "split.test_before must be after split.train_before": not (split.train_before and split.test_before)
        or split.test_before > split.train_before,
        "model.temperature must lie in model.temperature_range": model.temperature_range[0]
        <= model.temperature
        <= model.temperature_range[1],
        "model.table_dim must be divisible by 16 (`history`) or 4 (`static`) with training.table_optimiser "
        "'rowwise_adagrad'": not rowwise or model.table_dim % (16 if history else 4) == 0,
        "training.stream_notices can only be set with model.kind 'static'": not (training.stream_notices and history),
        "training.shard_tables_above_mb can only be set with training.table_optimiser 'rowwise_adagrad'": rowwise
        or not training.shard_tables_above_mb,
        "loss.kind 'all_bidders' needs model.kind 'history'": history or loss.kind != "all_bidders",
        f"{misplaced} can only be set with loss.kind 'in_batch'": in_batch or not misplaced,
        "loss.block can only be set with loss.kind 'all_bidders'": not (in_batch and loss.block),
        "loss.bids can only be set with model.kind 'history'": history or loss.bids == plain.bids,
        "publish.top_k must be at most ranking.candidates": config.publish.top_k <= config.ranking.candidates,
    }
