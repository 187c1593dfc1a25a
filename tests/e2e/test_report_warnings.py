"""What is said before a run's figures: each warning is made where there is reason for it, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bidrec.config import Config, Drift, Publish
from bidrec.publishing.version import published_folder
from bidrec.reporting.facts import gather
from bidrec.reporting.warnings import warnings_of
from bidrec.runs.found import find
from bidrec.storage.sealed import read_manifest, write_json
from tests.e2e.test_report_figures import REFUSED


def with_part(facts: dict[str, Any], part: str, **changes: Any) -> dict[str, Any]:
    return {**facts, part: {**facts[part], **changes}}


WARNED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "The leak audit found 3 violations": lambda facts: with_part(facts, "audit", violations=3),
    "The training set says nothing of a leak audit": lambda facts: {**facts, "audit": None},
    "5 of 1,234 rows of notice (0.4%) are in quarantine": lambda facts: with_part(facts, "market", refused=REFUSED),
    "The bids end on 2025-01-01, before the test window does": lambda facts: with_part(
        facts, "range", bid_known_at=["2024-01-01", "2025-01-01"]
    ),
    "900 of the ": lambda facts: with_part(facts, "window", without_bids=900),
    "Only 199 notices with bids in the test window": lambda facts: with_part(facts, "window", notices=199),
    "Only 199 notices in the validation window": lambda facts: with_part(
        facts, "windows", validation={"notices": 199, "bids": 1}
    ),
    "is within chance: its interval holds 0": lambda facts: with_part(facts, "difference", ci=[-0.1, 0.1]),
    "add up to 9.0 bidders a notice where the candidates held 3.0": lambda facts: with_part(
        facts, "calibration", expected_bidders=9.0, bidders=9.0, bidders_among_candidates=3.0
    ),
    "The home's tables have changed since this run": lambda facts: with_part(facts, "market", changed=True),
}


@pytest.mark.parametrize("warning", WARNED)
def test_what_makes_figures_doubtful_is_warned_of_and_nothing_else_is(config: Config, warning: str) -> None:
    run = find(config.home_path)
    found = gather(config, run)
    quiet = with_part(found, "window", notices=5000, without_bids=0)
    quiet = with_part(quiet, "windows", validation={"notices": 5000, "bids": 1})
    quiet = with_part(quiet, "market", refused={}, changed=False)
    quiet = with_part(quiet, "difference", ci=[0.1, 0.2])
    quiet = with_part(quiet, "range", bid_known_at=["2024-01-01", "2030-01-01"])
    quiet = with_part(quiet, "calibration", expected_bidders=3.0, bidders=9.0, bidders_among_candidates=3.0)

    def warned(facts: dict[str, Any]) -> list[str]:
        training_set = read_manifest(run.training_set) or {}
        published = read_manifest(published_folder(config.home_path))
        return warnings_of(config, run, facts, training_set, run.metrics(), published)

    before = warned(quiet)
    added = [one for one in warned(WARNED[warning](quiet)) if one not in before]
    assert [warning in one for one in added] == [True]


def test_a_damaged_model_a_shift_beyond_its_bound_and_a_refusal_of_the_gate_are_told_first(copy: Config) -> None:
    run = find(copy.home_path)
    with (run.model / "weights.safetensors").open("r+b") as file:
        file.seek(2000)
        byte = file.read(1)
        file.seek(2000)
        file.write(bytes([byte[0] ^ 1]))
    metrics = run.metrics()
    metrics["metrics"]["frozen"]["final"]["recall@100"] = 0.01
    write_json(run.folder / "metrics.json", metrics)
    strict = replace(copy, drift=Drift(max_psi=0.0), publish=Publish(margin=0.0))
    damaged, refused, *others = gather(strict, run)["warnings"]
    assert damaged.startswith("model/ is damaged")
    assert refused.startswith("The gate refuses to publish this run")
    assert any(other.startswith("Shifted beyond its bound") for other in others)
    assert any("Only" in other for other in others)


@pytest.mark.parametrize(("candidates", "said"), [(100, True), (101, False)])
def test_a_list_that_holds_everybody_is_told_of_with_what_it_means(copy: Config, candidates: int, said: bool) -> None:
    run = find(copy.home_path)
    metrics = run.metrics()
    metrics["window"]["candidates"] = candidates
    write_json(run.folder / "metrics.json", metrics)
    told = [one for one in gather(copy, run)["warnings"] if "lists of 100 hold them all" in one]
    assert len(told) == said
