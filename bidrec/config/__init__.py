"""Configuration: frozen dataclasses with a default for every key.

Read from one TOML file by bidrec.config.read, which refuses what bidrec.config.rules knows to be impossible. A string
may name environment variables as `${NAME}`; secrets live there and nowhere else.
"""

import dataclasses
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
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
    overlap_days: int = 7
    """How many days before the last ingest a database is asked for changes again, because rows may reach its tables
    late."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Values that the source's SQL reads with `getvariable('name')`."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    max_bad_share: float = 0.01
    """Largest share of rows of a table that may be quarantined before the job stops with 65."""
    earliest: date = date(1990, 1, 1)
    """Times before this day (UTC) are bad."""
    max_future_days: int = 730
    """Times later than this many days after the ingest are bad."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Global time split on `published_at`; all days are UTC midnights."""

    train_before: date | None = None
    """The cutoff: nothing known at or after it is trained on. Empty: `test_days` before `split.test_before`, or, if
    that is empty too, before the day of the newest opening."""
    test_before: date | None = None
    """End of the test window (exclusive). Empty: `test_days` after the cutoff."""
    test_days: int = 60
    """Length of the test window in days, if its dates are not given."""
    validation_days: int = 45
    """Length in days of the validation window, just before the cutoff, which decides when to stop."""


@dataclass(frozen=True, kw_only=True)
class Model:
    kind: str = "history"
    """`history`: a company is represented by its bids, read through the notice tower. `static`: two plain towers."""
    embedding_dim: int = 64
    """Length of the published vectors."""
    members: int = 2
    """`history`: how many pairs of towers learn side by side, each with vectors of `embedding_dim`. Their vectors are
    concatenated and rotated down to one of `embedding_dim`."""
    table_dim: int = 128
    """Length of the rows of the embedding tables (`history`: a quarter of it in the company tower)."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the notice tower's hidden layers (`static`: of both towers)."""
    company_hidden: int = 128
    """`history`: width of the company tower's hidden layer."""
    dropout: float = 0.3
    """Dropout after the notice tower's first layer (`static`: in both towers)."""
    fact_dropout: float = 0.5
    """`history`: share of companies whose activity numbers are hidden in a training step."""
    half_lives: tuple[float, ...] = (60.0, 400.0)
    """`history`: half-lives of the decayed means over a company's history, in days."""
    history_length: int = 128
    """`history`: how many bids of a company's history are read, newest first."""
    training_history: int = 48
    """`history`: how many of them a training step reads. More cost time and teach little."""
    temperature: float = 0.07
    """Starting temperature of the cosine softmax."""
    learn_temperature: bool = True
    """Whether the temperature is learned."""
    temperature_range: tuple[float, ...] = (0.01, 1.0)
    """Lowest and highest temperature that learning may reach."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What training minimises: always a softmax of cosines over the temperature, with bids as targets."""

    kind: str = ""
    """`all_bidders`: a softmax over all known companies with every bidder as a target (`history` only). `in_batch`:
    over the companies of a batch of bids. Empty: `all_bidders` for `history`, `in_batch` for `static`."""
    block: int = 0
    """`all_bidders`: how many companies are scored at a time, which bounds a step's memory. 0: all at once."""
    bids: int = 2048
    """`in_batch` with `history`: at most this many bids are drawn from a stretch of notices."""
    two_way: bool = False
    """`in_batch`: also learn in the other direction, from companies to the batch's notices."""
    other_bidders: str = "negative"
    """`in_batch`: how a notice's other bidders in the batch count for it: `negative`, `masked` or `positive`."""
    uniform_negatives: int = 0
    """`in_batch`: how many known companies are drawn uniformly as further negatives (mixed negatives)."""
    logq: bool = False
    """`in_batch`: correct each score by the log of how often its company (or notice) is drawn in a step."""
    frequency_decay: float = 0.05
    """`logq`: weight of the newest gap in the running estimate of that frequency."""
    frequency_buckets: int = 0
    """`logq`: number of counters that ids are hashed into. 0: one counter per id, exact."""


@dataclass(frozen=True, kw_only=True)
class Training:
    epochs: int = 3
    """Passes over the training notices (`history`) or pairs (`static`)."""
    batch_size: int = 512
    """Notices (`history`; fewer if an epoch would have less than 40 steps) or pairs (`static`) per step."""
    learning_rate: float = 5e-3
    """Adam's learning rate after the warm-up."""
    weight_decay: float = 0.0
    """Adam's weight decay. It does not apply to embedding tables under `sparse_adam` or `rowwise_adagrad`."""
    table_optimiser: str = "adam"
    """How the embedding tables learn: `adam` updates all rows in every step; `sparse_adam` and `rowwise_adagrad`, for
    large vocabularies, only those that a batch reads. Row-wise Adagrad keeps one number per row, Adam twice the table.
    With `rowwise_adagrad`, `model.table_dim` must be a multiple of 16 (`static`: 4)."""
    table_learning_rate: float = 0.05
    """Row-wise Adagrad's learning rate, with the same warm-up and decay."""
    table_precision: str = "float32"
    """`float32`, or `bfloat16`: embedding tables of half the size, rounded stochastically. Not with
    `training.table_optimiser` `adam`, nor with sharded tables."""
    shard_tables_above_mb: float = 0.0
    """With several processes: embedding tables larger than this, in million bytes, are split among them; the others are
    copied to each. Only with `training.table_optimiser` `rowwise_adagrad`. 0: all are copied."""
    warmup_share: float = 0.05
    """Share of all steps over which the learning rate rises linearly; it then falls linearly to zero."""
    candidates: int = 16384
    """`history`: companies in the softmax: all known ones if there are at most this many, otherwise the bidders and a
    uniform sample."""
    history_gradients: int = 4096
    """`history`: how many notices of the companies' histories get gradients in a step, drawn in proportion to how often
    they are read. The others are read from a cache of the notice tower's outputs."""
    whole_notices: bool = False
    """`static`: batches hold all bids of some notices instead of random pairs, so the notice tower runs once per
    notice. Faster; it ranks as well with `loss.logq`, worse without."""
    stream_notices: int = 0
    """`static`: for a training set larger than memory, how many notices are shuffled together and read ahead. 0: all of
    them."""
    patience: int = 2
    """How many epochs without a better validation Recall@100 end the training. Of the epochs within .01 of the best,
    the last one's weights are kept."""
    refit: bool = True
    """Once the validation window has chosen the number of epochs, train anew on everything known before the cutoff: the
    newest notices teach most."""
    checkpoint_seconds: int = 60
    """Seconds between checkpoints; longer if they would cost more than 2 % of the time. 0: at each step."""
    checkpoints_kept: int = 2
    """How many of the newest checkpoints are kept."""
    clip_norm: float = 0.0
    """Scale gradients of the networks down to this norm if they are longer; with `training.table_optimiser` `adam`,
    those of the tables too. 0: never."""
    precision: str = "float32"
    """`float32`, or `bfloat16` for the towers' layers; weights, vectors and loss stay float32."""
    compile: bool = False
    """Compile the towers' layers. Needs a C++ compiler on a CPU, a C compiler on a GPU."""
    cuda_graphs: bool = False
    """Compile the layers and launch all kernels of a tower's layers in one call. Needs a GPU and a C compiler."""
    deterministic: bool = False
    """Use only algorithms that give the same bits each time; stop if there is none."""
    seed: int = 7
    """The same seed and data give the same weights."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU if there is one."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The second stage: what the towers and the neighbours find, ordered by all that is known of each pair."""

    candidates: int = 900
    """At most this many companies are looked at for a notice: a third found by the towers, a third by each of the two
    kinds of neighbours. At least `publish.top_k`."""
    neighbours: int = 1000
    """How many notices with known bids, the most alike in title and attributes, have their bidders looked at."""
    tower_neighbours: int = 500
    """How many notices with known bids, the nearest in the towers' space, have their bidders looked at."""
    known_notices: int = 300_000
    """How many of the newest notices with known bids may be such neighbours."""
    half_life: float = 400.0
    """Half-life of a known bid's weight in the second stage, in days."""
    eligibility: bool = True
    """Exclude from a notice's candidates the companies outside its region limit or without any of the licences it asks
    for: in the second stage, in every ranking that is evaluated, and in what is published. An unknown limit or company
    record excludes nobody."""
    exposure: float = 0.0
    """When a notice's companies are ordered, a company's score loses this much per unit of ln(1 + its known bids, each
    halved every 400 days). Higher values show small firms more often; published probabilities stay as they are
    (docs/ranking.md)."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    notices: int = 20_000
    """At most this many notices of the test window, spread evenly over it, are ranked by each ranker. 0: all."""
    top_k: tuple[int, ...] = (10, 50, 100)
    """Lengths K of the lists that are measured."""
    refresh_days: int = 7
    """Days between refreshes of companies and baselines in the rolling evaluation; the weights stay. 0: no rolling
    evaluation."""
    bootstrap: int = 1000
    """How many resamples of the test notices the 95 % intervals rest on. 0: no intervals."""
    popularity_half_life: float = 180.0
    """Half-life of the popularity baseline's counts, in days."""
    backoff_half_life: float = 400.0
    """Half-life of the buyer and place+category baselines' counts, in days."""
    neighbours: int = 1000
    """How many nearest notices vote in the kNN baseline over text and attributes."""
    further_rivals: tuple[str, ...] = ()
    """Rivals beside the usual ones: `lightfm` (docs/ranking.md). The publish gate counts them too."""
    exposures: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    """Strengths of `ranking.exposure` whose cost and effect are measured. `[]`: none."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    top_k: int = 100
    """Companies written per open notice, and open notices per company."""
    margin: float = 0.0
    """How far a model's Recall@100 may be below the best baseline's and still be published. The same holds against the
    published run, if both were measured on the same window of the same data. Below zero: how far above it must be."""
    url: str = "${BIDREC_EXPORT_URL}"
    """`postgresql://` address that `bidrec recommend --all --format postgres` writes to. Keep it in the environment: it
    holds a password."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far a field may shift from the training window: in the validation and test windows, and at write-back."""

    refuse: bool = False
    """Whether a field beyond its bound ends the job with 65. Otherwise a warning names it."""
    max_psi: float = 2.0
    """Largest population stability index (PSI) against the training window, beyond what chance gives samples of that
    size."""
    max_null_share_rise: float = 0.2
    """Largest rise of the share of rows without a value, beyond chance."""
    exceptions: tuple[str, ...] = (
        "bids_all",
        "bids_365d",
        "wins_all",
        "distinct_buyers",
        "distinct_places",
        "days_since_first_bid",
    )
    """Fields held to no bound, as `name` or `side.name`; the side is `notice`, `profile` (a company's record) or
    `version` (its activity). The default ones grow with the age of the data."""
    serving_days: int = 14
    """At write-back, the rows that became known in this many days before the as-of are held to the bounds."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """What a finished run is told to, beside its own files (requirements/tracking.txt); never stops a run."""

    mlflow: str = ""
    """Address of an MLflow tracking server or store (`http://...`, `file:///...`) that finished runs are logged to.
    Empty: none."""
    tensorboard: bool = False
    """Whether a finished run also writes `runs/ID/tensorboard`. Both trackers need `pip install -r
    requirements/tracking.txt` and never stop a run."""


@dataclass(frozen=True, kw_only=True)
class Config:
    home: str = "${BIDREC_HOME}"
    """The one folder bidrec writes to. Empty: `./.bidrec`."""
    feature_repo: str = ""
    """Folder of the Feast repository, whose FeatureService is the model's schema. Empty: the one that comes with
    bidrec."""
    feature_store: str = ""
    """The `feature_store.yaml` that names Feast's registry and stores. Empty: the file that `FEAST_FS_YAML_FILE_PATH`
    names (Feast's own commands read it too), otherwise the one in the Feast repository."""
    memory_limit: str = "4GB"
    """DuckDB's memory limit in every step, at least 50 MB. Beyond it DuckDB spills to the home (`bidrec check`: to the
    system's temporary folder)."""
    wait_seconds: float = 60.0
    """How many seconds a job waits for another of its kind in the same home before it ends with 75. `--wait SECONDS`
    sets it for one call."""
    source: Source = field(default_factory=Source)
    contract: Contract = field(default_factory=Contract)
    split: Split = field(default_factory=Split)
    model: Model = field(default_factory=Model)
    loss: Loss = field(default_factory=Loss)
    training: Training = field(default_factory=Training)
    ranking: Ranking = field(default_factory=Ranking)
    evaluation: Evaluation = field(default_factory=Evaluation)
    publish: Publish = field(default_factory=Publish)
    drift: Drift = field(default_factory=Drift)
    tracking: Tracking = field(default_factory=Tracking)

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
