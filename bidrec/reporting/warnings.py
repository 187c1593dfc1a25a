"""What somebody should know before believing a run's figures, the gravest first.

Reads   the run's folder and figures, the bounds of [drift] and the gate
"""

from collections.abc import Iterator
from typing import Any

from bidrec.config import Config
from bidrec.errors import GateRefused
from bidrec.features.schema import ENCODED
from bidrec.publishing import gate
from bidrec.ranking.metrics import DEPTH
from bidrec.runs.run import Run
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import read_json
from bidrec.training_set.drift import STATISTICS, shifts_of
from bidrec.training_set.splits import day_of

FEW_NOTICES = 200
"""A mean recall of so many notices is known to about four points (95 %)."""
REFUSED_SHARE = 0.001
"""Share of a table's rows in the quarantine that is worth a word."""
MISCOUNTED = 0.25
"""How far, in parts of it, the expected number of bidders may be off that of the candidates who bid."""
UNOPENED_SHARE = 0.1
SHIFTS = 5
"""Fields beyond their bounds that are named."""


def warnings_of(
    config: Config,
    run: Run,
    facts: dict[str, Any],
    training_set: dict[str, Any],
    metrics: dict[str, Any],
    published: dict[str, Any] | None,
) -> list[str]:
    """One sentence each. `published`: the manifest of what is published, if anything is."""
    return [
        *_unsound(run, facts),
        *_refusals(config, run, metrics, published),
        *_shifts(config, run, training_set),
        *_little_data(facts),
        *_doubts(facts),
    ]


def _unsound(run: Run, facts: dict[str, Any]) -> Iterator[str]:
    audit = facts["audit"]
    if audit is None:
        yield "The training set says nothing of a leak audit."
    elif audit["violations"]:
        yield f"The leak audit found {audit['violations']:,} violations: the figures below are better than the truth."
    for folder in (run.training_set, run.model, run.second_stage):
        if not is_whole(folder):
            yield f"{folder.name}/ is damaged or unfinished: its files are not those its manifest speaks of."


def _refusals(config: Config, run: Run, metrics: dict[str, Any], published: dict[str, Any] | None) -> Iterator[str]:
    before = published["evaluation"] if published and published["run"] != run.id else None
    try:
        gate.check(metrics, before, config.publish.margin)
    except GateRefused as error:
        yield f"The gate refuses to publish this run: {error.message}."


def _shifts(config: Config, run: Run, training_set: dict[str, Any]) -> Iterator[str]:
    statistics = run.training_set / STATISTICS
    if not statistics.is_file() or not training_set.get("statistics"):
        yield "The run says nothing of how its fields have shifted since the training window."
        return
    read = {
        side: [name for name, (how, *_) in fields.items() if how in ENCODED]
        for side, fields in training_set["fields"].items()
    }
    shifts = shifts_of(training_set["statistics"], read_json(statistics), read, config.drift)
    for shift in shifts[:SHIFTS]:
        yield f"Shifted beyond its bound: {shift}."
    if len(shifts) > SHIFTS:
        yield f"{len(shifts) - SHIFTS} more figures of fields are beyond their bounds; bidrec features lists all."


def _little_data(facts: dict[str, Any]) -> Iterator[str]:
    validation = facts["windows"].get("validation", {}).get("notices")
    if validation is not None and validation < FEW_NOTICES:
        yield f"Only {validation:,} notices in the validation window, which chose when to stop."
    if facts["window"]["notices"] < FEW_NOTICES:
        yield f"Only {facts['window']['notices']:,} notices with bids in the test window: every figure is rough."
    if facts["window"]["candidates"] <= DEPTH:
        yield (
            f"Only {facts['window']['candidates']:,} candidates: lists of {DEPTH} hold them all, so Recall@{DEPTH} "
            "says nothing, nor do the gate and the epoch to stop at, which go by it; look at NDCG@10, MRR and R@10."
        )
    for name, table in facts["market"]["refused"].items():
        if table["quarantined"] > REFUSED_SHARE * table["given"]:
            share = table["quarantined"] / table["given"]
            yield f"{table['quarantined']:,} of {table['given']:,} rows of {name} ({share:.1%}) are in quarantine."
    last = facts["range"].get("bid_known_at", ["", ""])[1]
    if facts["split"] and last and last < day_of(facts["split"]["test_before"]):
        yield f"The bids end on {last}, before the test window does: its last notices may not have been opened."
    without = facts["window"]["without_bids"]
    notices = without + facts["window"].get("notices_with_bids", facts["window"]["notices"])
    if without > UNOPENED_SHARE * notices:
        yield (
            f"{without:,} of the {notices:,} notices of the test window have no bid in the data, "
            "because nobody bid or because they were opened after its end: no figure counts them."
        )


def _doubts(facts: dict[str, Any]) -> Iterator[str]:
    lead = facts["difference"]
    if lead and lead["ci"] and lead["ci"][0] <= 0 <= lead["ci"][1]:
        yield f"The difference to the best baseline, {lead['baseline']}, is within chance: its interval holds 0."
    held = facts["calibration"]
    if held:
        expected, bidders = held["expected_bidders"], held["bidders_among_candidates"]
        if abs(expected - bidders) > MISCOUNTED * bidders:
            yield (
                f"The probabilities add up to {expected:.1f} bidders a notice where the candidates held "
                f"{bidders:.1f}: trust their order more than their size."
            )
    if facts["market"]["changed"]:
        yield "The home's tables have changed since this run: counts by month and region are of today's."
