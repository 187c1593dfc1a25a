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
    """A built-in source (`koneps`, `gepnic`) or a folder with source.toml, notice.sql, company.sql and bid.sql."""
    path: str = ""
    """Folder of CSV or Parquet dumps: notice.*, company.*, bid.*."""
    url: str = "${BIDREC_SOURCE_URL}"
    """postgresql:// address, used when `path` is empty. Keep it in the environment: it holds a password."""
    schema: str = "public"
    """PostgreSQL schema of the three tables."""
    overlap_days: int = 7
    """How far before the last ingest a database is asked for changes again: rows may come late into its tables."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Values the source's SQL reads with getvariable('name')."""


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
    """The cutoff: nothing known at or after it is trained on. Empty: `test_days` before `test_before`; where that is
    empty too, before the day of the newest opening."""
    test_before: date | None = None
    """End of the test window (exclusive). Empty: `test_days` after the cutoff."""
    test_days: int = 60
    """Length of the test window where its dates are not given, in days."""
    validation_days: int = 45
    """Length of the window just before the cutoff that chooses when to stop, in days."""


@dataclass(frozen=True, kw_only=True)
class Model:
    kind: str = "history"
    """`history`: a company is its bids, read through the notice tower. `static`: two plain towers."""
    embedding_dim: int = 64
    """Length of the published vectors."""
    members: int = 2
    """`history`: pairs of towers that learn side by side, each of embedding_dim; their vectors are joined and
    rotated down to one of embedding_dim."""
    table_dim: int = 128
    """Length of the rows of the embedding tables (`history`: in the company tower a quarter of it)."""
    hidden: tuple[int, ...] = (256, 128)
    """Widths of the notice tower's hidden layers (`static`: both towers')."""
    company_hidden: int = 128
    """`history`: width of the company tower's hidden layer."""
    dropout: float = 0.3
    """Dropout after the notice tower's first layer (both towers' in `static`)."""
    fact_dropout: float = 0.5
    """`history`: share of companies whose activity numbers are hidden in a training step."""
    half_lives: tuple[float, ...] = (60.0, 400.0)
    """`history`: half-lives of the decayed means over a company's history, in days."""
    history_length: int = 128
    """`history`: bids of a company's history that are read, newest first."""
    training_history: int = 48
    """`history`: how many of them a training step reads; more would cost time and teach little."""
    temperature: float = 0.07
    """Starting temperature of the cosine softmax."""
    learn_temperature: bool = True
    """Whether the temperature is learned."""
    temperature_range: tuple[float, ...] = (0.01, 1.0)
    """The coldest and the hottest temperature that learning may reach."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What training minimises: always a softmax of cosines over the temperature, with bids as targets."""

    kind: str = ""
    """`all_bidders`: over all known companies, all bidders as targets; model.kind `history` only. `in_batch`: over the
    companies of a batch of bids. Empty: `all_bidders` for `history`, `in_batch` for `static`."""
    block: int = 0
    """`all_bidders`: companies scored at a time, which bounds the memory of a step. 0: all at once."""
    bids: int = 2048
    """`in_batch` with `history`: bids drawn from a stretch of notices, at most."""
    two_way: bool = False
    """`in_batch`: learn from companies to the batch's notices as well."""
    other_bidders: str = "negative"
    """`in_batch`: what the notice's other bidders in the batch are to it: `negative`, `masked` or `positive`."""
    uniform_negatives: int = 0
    """`in_batch`: companies drawn uniformly from the known ones as further negatives (mixed negatives)."""
    logq: bool = False
    """`in_batch`: correct each score by the log of how often its company (or notice) is drawn in a step."""
    frequency_decay: float = 0.05
    """`logq`: weight of the newest gap in the running estimate of how often."""
    frequency_buckets: int = 0
    """`logq`: counters that ids are hashed into. 0: one counter an id, exact."""


@dataclass(frozen=True, kw_only=True)
class Training:
    epochs: int = 3
    """Passes over the training notices (`history`) or pairs (`static`)."""
    batch_size: int = 512
    """Notices (`history`; fewer where an epoch would have less than 40 steps) or pairs (`static`) a step."""
    learning_rate: float = 5e-3
    """Adam's, after the warm-up."""
    weight_decay: float = 0.0
    """Adam's: not of tables of which only the rows read are moved."""
    table_optimiser: str = "adam"
    """How the embedding tables learn: `adam` moves all rows in every step; `sparse_adam` and `rowwise_adagrad` those a
    batch reads: for large vocabularies. Row-wise Adagrad remembers a number a row, Adam twice the table. With
    `rowwise_adagrad`, `model.table_dim` must be a multiple of 16 (`static`: 4)."""
    table_learning_rate: float = 0.05
    """Row-wise Adagrad's."""
    table_precision: str = "float32"
    """`float32`, or `bfloat16`: half the size, rounded stochastically; not with `adam`, nor with sharded tables."""
    shard_tables_above_mb: float = 0.0
    """Several processes: embedding tables larger than this, in million bytes, are split among them, the others copied
    to each; with `table_optimiser` `rowwise_adagrad` only. 0: all are copied."""
    warmup_share: float = 0.05
    """Share of all steps over which the learning rate rises linearly; it then falls linearly to zero."""
    candidates: int = 16384
    """`history`: companies in the softmax: all known ones up to this many, else the bidders and a uniform sample."""
    history_gradients: int = 4096
    """`history`: how many notices of the companies' histories get gradients in a step, drawn in proportion to how often
    they are read; the others are read from a cache of the notice tower's outputs."""
    whole_notices: bool = False
    """`static`: batches of all bids of some notices, whose tower then runs once for them, instead of random pairs."""
    stream_notices: int = 0
    """`static`: for a set larger than memory, how many notices are shuffled together and read ahead. 0: all of them."""
    patience: int = 2
    """Epochs without a better validation Recall@100 before training stops. Of the epochs within .01 of the best, the
    last one's weights are kept."""
    refit: bool = True
    """Having chosen the number of epochs on the validation window, train anew on everything known before the cutoff:
    the newest notices teach most."""
    checkpoint_seconds: int = 60
    """Time between checkpoints, in seconds; longer where they would cost more than 2 % of it. 0: at each step."""
    checkpoints_kept: int = 2
    """The newest checkpoints that are kept."""
    clip_norm: float = 0.0
    """Longer gradients of the networks (with `table_optimiser` `adam`, of the tables too) are scaled to it. 0: none."""
    precision: str = "float32"
    """`float32`, or `bfloat16` for the towers' layers; weights, vectors and loss stay float32."""
    compile: bool = False
    """Compile the towers' layers. This needs a C++ compiler on a CPU, a C compiler on a GPU."""
    cuda_graphs: bool = False
    """Compile them, and launch all kernels of a tower's layers in one call. Needs a GPU and a C compiler."""
    deterministic: bool = False
    """Use only algorithms that give the same bits each time, or stop where there is none."""
    seed: int = 7
    """The same seed and data give the same weights."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The second stage: what the towers and the neighbours find, ordered by all that is known of each pair."""

    candidates: int = 900
    """Companies looked at for a notice, at most: a third found by the towers, a third by each kind of neighbours."""
    neighbours: int = 1000
    """Known notices alike in title and attributes whose bidders are looked at."""
    tower_neighbours: int = 500
    """Known notices near in the towers' space whose bidders are looked at."""
    known_notices: int = 300_000
    """The newest notices with a known bid that may be such neighbours."""
    half_life: float = 400.0
    """Half-life of a known bid's weight, in days."""
    eligibility: bool = True
    """Whether a company outside a notice's region limit, or with none of the licences it asks for, is no candidate for
    it: in the second stage, in every ranking that is evaluated, and in what is published."""
    exposure: float = 0.0
    """What a company's score loses, in the order of a notice's companies, per unit of ln(1 + its known bids, each
    halved every 400 days): the more, the more often small firms are shown. Published probabilities stay. 0: nothing."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    notices: int = 20_000
    """At most so many notices of the test window, evenly spread over it, are ranked by every ranker. 0: all."""
    top_k: tuple[int, ...] = (10, 50, 100)
    """Lengths K of the lists that are measured."""
    refresh_days: int = 7
    """In the rolling evaluation, how often companies and baselines are brought up to date, in days; the weights stay.
    0: no rolling evaluation."""
    bootstrap: int = 1000
    """Resamples of the test notices behind the 95 % intervals. 0: no intervals."""
    popularity_half_life: float = 180.0
    """Half-life of the popularity baseline's counts, in days."""
    backoff_half_life: float = 400.0
    """Half-life of the buyer and place+category baselines' counts, in days."""
    neighbours: int = 1000
    """Nearest notices the text and attribute kNN baseline votes with."""
    further_rivals: tuple[str, ...] = ()
    """Rivals beside the usual ones: `lightfm`, which requirements/lightfm.txt installs. The gate counts them too."""
    exposures: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    """Strengths of `ranking.exposure` whose cost and effect are measured. Empty: none is."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    top_k: int = 100
    """Companies written per open notice, and open notices per company."""
    margin: float = 0.0
    """How far below the best baseline's Recall@100, and below the published run's where both were measured on the same
    window of the same data, a model may be and still be published."""
    url: str = "${BIDREC_EXPORT_URL}"
    """postgresql:// address that `bidrec recommend --all --format postgres` writes to. Keep it in the environment."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far a field may shift from the training window: in the validation and test windows, and at write-back."""

    refuse: bool = False
    """Whether a field beyond a bound ends the job with 65; otherwise a warning names it. Honest years do shift."""
    max_psi: float = 2.0
    """Largest population stability index, beyond what chance gives samples of that size."""
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
    """Fields held to no bound, `name` or `side.name`, the side being `notice`, `profile` (a company's record) or
    `version` (its activity); the default ones grow with the data's age."""
    serving_days: int = 14
    """At write-back, the rows that became known in this many days before the as-of are held to the bounds."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """What a finished run is told to, beside its own files (requirements/tracking.txt); never stops a run."""

    mlflow: str = ""
    """Address of an MLflow tracking server or store, such as `http://mlflow:5000`. Empty: none."""
    tensorboard: bool = False
    """Whether runs/ID/tensorboard is written."""


@dataclass(frozen=True, kw_only=True)
class Config:
    home: str = "${BIDREC_HOME}"
    """The one writable folder. Empty: `./.bidrec`."""
    feature_repo: str = ""
    """Folder of the Feast repository, whose FeatureService is the model's schema. Empty: the one bidrec comes with."""
    feature_store: str = ""
    """The feature_store.yaml that names Feast's registry and stores. Empty: what FEAST_FS_YAML_FILE_PATH names, which
    Feast's own commands read too; otherwise the one in the Feast repository."""
    memory_limit: str = "4GB"
    """DuckDB's memory limit in every step, at least 50 MB; beyond it, it spills to the home."""
    wait_seconds: float = 60.0
    """How long a job waits for another one of its kind in the same home before it ends with 75."""
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
