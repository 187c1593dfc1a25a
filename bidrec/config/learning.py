"""What is trained and how: the tables [model], [loss] and [training] of the configuration."""

from dataclasses import dataclass


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
    deterministic: bool = False
    """Use only algorithms that give the same bits each time; stop if there is none."""
    seed: int = 7
    """The same seed and data give the same weights."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU if there is one."""
