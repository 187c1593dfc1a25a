"""What a configuration of the right types must hold, so that nothing fails hours later that could be known at once."""

import re
from typing import Any

from bidrec.config import Config, Loss

_CENTURY = 36_500
"""Days: more of them would leave what a calendar holds."""


def broken(config: Config) -> list[str]:
    """What is wrong with settings of the right type that would only fail, or hang, hours later; a line each."""
    return [message for message, holds in rules(config).items() if not holds]


def rules(config: Config) -> dict[str, bool]:
    """What must hold, in words -> whether it does. The same rules in the same order for every configuration."""
    unbounded = ", ".join(_unbounded(config))
    return {
        f"{unbounded} must be a finite number of at most 64 bits": not unbounded,
        **_data_rules(config),
        **_model_rules(config),
        **_training_rules(config),
        **_loss_rules(config),
        **_ranking_rules(config),
    }


def _unbounded(config: Config) -> list[str]:
    """Names of the numbers that are NaN, infinite, or whole and larger than what any library counts in."""
    values: dict[str, Any] = {}
    for name, value in config.as_dict().items():
        values |= {f"{name}.{key}": of for key, of in value.items()} if isinstance(value, dict) else {name: value}
    return [name for name, value in values.items() if not all(abs(number) < 2**63 for number in _numbers(value))]


def _numbers(value: Any) -> list[float]:
    return [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, int | float)]


def _data_rules(config: Config) -> dict[str, bool]:
    """Of the home, the source and the split."""
    split = config.split
    return {
        "wait_seconds must be at least 0": config.wait_seconds >= 0,
        f"memory_limit must be a size of at least 50MB, such as '4GB', not {config.memory_limit!r}": _bytes(
            config.memory_limit
        )
        >= 50e6,
        # DuckDB would take them for patterns, or a folder region=PT for a column of each table in it; and Feast reads
        # paths as addresses.
        "home may not hold any of * ? [ ] # =": not set("*?[]#=") & set(str(config.home_path)),
        "source.path may not hold any of * ? [ ]": not set("*?[]") & set(config.source.path),
        "split.test_before must be after split.train_before": split.train_before is None
        or split.test_before is None
        or split.test_before > split.train_before,
        "split.test_days and split.validation_days must be at least 1": min(split.test_days, split.validation_days)
        >= 1,
        "source.overlap_days must be at least 0": config.source.overlap_days >= 0,
        # A company's version is looked up by a number that holds 272 years of seconds (training/resident.py).
        "contract.earliest must not be before 1900": config.contract.earliest.year >= 1900,
        "contract.max_future_days must be at least 0": config.contract.max_future_days >= 0,
        "source.overlap_days, contract.max_future_days, split.test_days, split.validation_days, "
        f"evaluation.refresh_days and drift.serving_days must be at most {_CENTURY} days": max(
            *(config.source.overlap_days, config.contract.max_future_days, split.test_days, split.validation_days),
            *(config.evaluation.refresh_days, config.drift.serving_days),
        )
        <= _CENTURY,
        "split.train_before and test_before must lie between 1900 and 2200": all(
            1900 <= day.year < 2200 for day in (split.train_before, split.test_before) if day
        ),
        "contract.max_bad_share must lie in [0, 1]": 0 <= config.contract.max_bad_share <= 1,
        "drift.max_psi and max_null_share_rise must not be negative": min(
            config.drift.max_psi, config.drift.max_null_share_rise
        )
        >= 0,
        "drift.serving_days must be at least 1": config.drift.serving_days >= 1,
    }


def _model_rules(config: Config) -> dict[str, bool]:
    model = config.model
    return {
        "model.kind must be 'history' or 'static'": model.kind in ("history", "static"),
        "model.embedding_dim, members, table_dim, hidden, company_hidden, history_length and training_history must be "
        "at least 1": min(
            *(model.embedding_dim, model.members, model.table_dim, *model.hidden, model.company_hidden),
            *(model.history_length, model.training_history),
        )
        >= 1,
        "model.dropout and fact_dropout must lie in [0, 1)": min(model.dropout, model.fact_dropout) >= 0
        and max(model.dropout, model.fact_dropout) < 1,
        "model.half_lives must be positive days": bool(model.half_lives) and min(model.half_lives) > 0,
        "model.temperature_range must be a positive pair, the smaller first": len(model.temperature_range) == 2
        and 0 < model.temperature_range[0] <= model.temperature_range[1],
        "model.temperature must lie in model.temperature_range": not model.temperature_range
        or model.temperature_range[0] <= model.temperature <= model.temperature_range[-1],
        "model.table_dim must be divisible by 16 (`history`) or 4 (`static`) with training.table_optimiser "
        "'rowwise_adagrad', whose kernel moves four numbers at a time": config.training.table_optimiser
        != "rowwise_adagrad"
        or model.table_dim % (16 if model.kind == "history" else 4) == 0,
    }


def _training_rules(config: Config) -> dict[str, bool]:
    model, training = config.model, config.training
    return {
        "training.epochs, batch_size, candidates, patience and checkpoints_kept must be at least 1": min(
            *(training.epochs, training.batch_size, training.candidates),
            *(training.patience, training.checkpoints_kept),
        )
        >= 1,
        "training.history_gradients, weight_decay, checkpoint_seconds and clip_norm must be at least 0": min(
            *(training.history_gradients, training.weight_decay),
            *(training.checkpoint_seconds, training.clip_norm),
        )
        >= 0,
        "training.warmup_share must lie in [0, 1]": 0 <= training.warmup_share <= 1,
        # Times a million, for an epoch's order: of 64 bits.
        "training.seed must be at least 0 and have at most 32 bits": 0 <= training.seed < 2**32,
        "training.learning_rate and table_learning_rate must be positive": min(
            training.learning_rate, training.table_learning_rate
        )
        > 0,
        "training.stream_notices must be at least 0, and 0 with model.kind 'history', which reads notices of any "
        "time": training.stream_notices == 0 or (training.stream_notices > 0 and model.kind == "static"),
        "training.table_optimiser must be 'adam', 'sparse_adam' or 'rowwise_adagrad'": training.table_optimiser
        in ("adam", "sparse_adam", "rowwise_adagrad"),
        "training.shard_tables_above_mb must be at least 0, and 0 unless training.table_optimiser is "
        "'rowwise_adagrad': no other one is in the kernels of sharded tables": training.shard_tables_above_mb == 0
        or (training.shard_tables_above_mb > 0 and training.table_optimiser == "rowwise_adagrad"),
        "training.precision must be 'float32' or 'bfloat16'": training.precision in ("float32", "bfloat16"),
        "training.device must be 'auto', 'cpu' or 'cuda'": training.device in ("auto", "cpu", "cuda"),
    }


def _ranking_rules(config: Config) -> dict[str, bool]:
    """Of the second stage, of how it is measured, and of what is published."""
    ranking, evaluation = config.ranking, config.evaluation
    return {
        "evaluation.top_k must hold whole numbers of at least 1": bool(evaluation.top_k) and min(evaluation.top_k) >= 1,
        "evaluation.neighbours must be at least 1": evaluation.neighbours >= 1,
        "evaluation.notices, refresh_days and bootstrap must be at least 0": min(
            evaluation.notices, evaluation.refresh_days, evaluation.bootstrap
        )
        >= 0,
        "ranking.candidates, neighbours, tower_neighbours and known_notices must be at least 1": min(
            ranking.candidates, ranking.neighbours, ranking.tower_neighbours, ranking.known_notices
        )
        >= 1,
        "ranking.half_life must be positive days": ranking.half_life > 0,
        "evaluation.popularity_half_life and backoff_half_life must be positive days": min(
            evaluation.popularity_half_life, evaluation.backoff_half_life
        )
        > 0,
        "evaluation.further_rivals can only hold 'lightfm'": {*evaluation.further_rivals} <= {"lightfm"},
        "ranking.exposure and evaluation.exposures must lie in [0, 10]": all(
            0 <= strength <= 10 for strength in (ranking.exposure, *evaluation.exposures)
        ),
        "publish.top_k must be at most ranking.candidates": config.publish.top_k <= ranking.candidates,
        "publish.top_k must be at least 1": config.publish.top_k >= 1,
    }


def _loss_rules(config: Config) -> dict[str, bool]:
    """Which losses make sense, alone and with the model's kind."""
    loss, plain, history = config.loss, Loss(), config.model.kind == "history"
    in_batch = config.loss_kind == "in_batch"
    of_batches = ("bids", "two_way", "other_bidders", "uniform_negatives", "logq")
    misplaced = ", ".join(f"loss.{name}" for name in of_batches if getattr(loss, name) != getattr(plain, name))
    return {
        "loss.kind must be 'all_bidders', 'in_batch' or ''": loss.kind in ("", "all_bidders", "in_batch"),
        "loss.other_bidders must be 'negative', 'masked' or 'positive'": loss.other_bidders
        in ("negative", "masked", "positive"),
        "loss.kind 'all_bidders' needs model.kind 'history': the pairs of 'static' stand at different times, at which "
        "different companies are known; use 'in_batch'": history or loss.kind != "all_bidders",
        f"{misplaced} can only be set with loss.kind 'in_batch': in 'all_bidders' every bidder is a target and no "
        "company is drawn more often than another": in_batch or not misplaced,
        "loss.block can only be set with loss.kind 'all_bidders': a batch is scored at once": not in_batch
        or loss.block == 0,
        "loss.bids can only be set with model.kind 'history': in 'static' training.batch_size is the number of bids": (
            history or loss.bids == plain.bids
        ),
        "loss.bids must be at least 1": loss.bids >= 1,
        "loss.block, uniform_negatives and frequency_buckets must be at least 0": min(
            loss.block, loss.uniform_negatives, loss.frequency_buckets
        )
        >= 0,
        "loss.frequency_decay must lie in (0, 1]": 0 < loss.frequency_decay <= 1,
    }


def _bytes(size: str) -> float:
    """Of a size as DuckDB reads it (`4GB`, `500 MiB`); 0 for what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(B|iB)?", size.strip(), re.IGNORECASE | re.ASCII)
    if not found:
        return 0.0
    number, unit, suffix = found.groups()
    return float(number) * (1024 if suffix and len(suffix) == 2 else 1000) ** ("KMGT".index(unit.upper()) + 1)
