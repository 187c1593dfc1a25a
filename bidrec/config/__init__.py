"""Configuration: frozen dataclasses with a default for every key. Those of the training are in learning.py.

Read from one TOML file by bidrec.config.read, which refuses what bidrec.config.rules knows to be impossible. A string
may name environment variables as `${NAME}`; secrets live there and nowhere else.
"""

import dataclasses
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from bidrec.config.learning import Loss, Model, Training

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
    """Largest share of rows of a table that may be quarantined before the job stops with 65; of few new rows, of the
    last 1,000."""
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
