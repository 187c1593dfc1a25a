import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.runs import recipe
from bidrec.runs.run import Run
from bidrec.storage.sealed import write_json
from jobs.cli import main


def metrics(recall: float, window: str = "2025-01-01T00:00:00", measured_by: str = "code") -> dict:
    row = {"recall@10": 0.1, "recall@100": recall}
    return {
        "window": {"from": window, "notices": 5},
        "inputs": "data",
        "measured_by": measured_by,
        "best_baseline": "knn",
        "metrics": {"frozen": {"final": row, "towers": {"recall@100": 0.125}, "knn": {"recall@100": 0.25}}},
    }


@pytest.fixture
def ids(home) -> list[str]:
    """Two finished runs and one unfinished."""
    made = {"20250101T000000Z-aaaaaa": 0.5, "20250102T000000Z-bbbbbb": 0.75}
    for run_id, recall in made.items():
        folder = home / "runs" / run_id
        facts = {"config": Config().as_dict() | {"memory_limit": f"{recall}GB"}, "recipe": recipe.now()}
        write_json(folder / "config.json", facts)
        write_json(folder / "metrics.json", metrics(recall))
        Run(folder).finish()
    unfinished = "20250103T000000Z-cccccc"
    write_json(home / "runs" / unfinished / "config.json", {"config": {}})
    return [*made, unfinished]


def run(*words: str):
    return CliRunner().invoke(main, ["runs", *words])


def test_the_list_says_where_each_stands_and_what_stays(home, ids):
    assert run("pin", ids[0]).exit_code == 0
    write_json(home / "published" / "current" / "manifest.json", {"run": ids[1]})
    first, second, unfinished = json.loads(run("--json").stdout)["runs"]
    assert second == {
        "run": ids[1],
        "state": "finished",
        "made_by": "train",
        "of_this_code": True,
        "train_before": "2025-01-01",
        "test_notices": 5,
        "recall@100": 0.75,
        "best_baseline": "knn 0.250",
        "published": True,
        "pinned": False,
    }
    assert first == second | {"run": ids[0], "recall@100": 0.5, "published": False, "pinned": True}
    unmeasured = dict.fromkeys(("train_before", "test_notices", "recall@100", "best_baseline"))
    of_other_code = {"state": "unfinished", "published": False, "of_this_code": False}
    assert unfinished == second | unmeasured | {"run": ids[2]} | of_other_code
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in run().stdout.splitlines() if "│" in line]
    assert [other for _, other in cells if "code" in other] == ["train, other code"]
    stays = [(run_id, after[0]) for (run_id, _), after in pairwise(cells) if run_id in ids[:2]]
    assert stays == [(ids[0], "pinned"), (ids[1], "published")]
    assert "│ 0.500 " in run().stdout  # as many digits as the baseline below it has
    assert run("unpin", ids[0]).exit_code == 0
    assert not json.loads(run("--json").stdout)["runs"][0]["pinned"]


def test_two_runs_are_compared_in_figures_and_settings(home, ids):
    found = json.loads(run("compare", *ids[:2], "--json").stdout)
    assert found["command"] == "runs compare"
    final = next(row for row in found["figures"] if (row["ranker"], row["metric"]) == ("final", "recall@100"))
    assert (final["a"], final["b"], final["difference"]) == (0.5, 0.75, 0.25)
    assert found["settings"] == [{"key": "memory_limit", "a": "0.5GB", "b": "0.75GB"}]
    assert found["comparable"]
    assert "+0.250" in run("compare", *ids[:2]).stdout
    write_json(home / "runs" / ids[1] / "metrics.json", metrics(0.75, "2025-02-01T00:00:00"))
    assert "do not compare" in run("compare", *ids[:2]).stdout


def test_figures_that_other_code_measured_are_not_said_to_compare(home, ids):
    write_json(home / "runs" / ids[1] / "metrics.json", metrics(0.75, measured_by="other code"))
    found = json.loads(run("compare", *ids[:2], "--json").stdout)
    assert (found["same_window"], found["same_data"], found["same_measure"]) == (True, True, False)
    assert not found["comparable"]
    assert "do not compare" in run("compare", *ids[:2]).stdout


def test_pruning_says_what_goes_and_what_stays(home, ids):
    assert run("prune").exit_code == 2
    planned = json.loads(run("prune", "--keep", "1", "--dry-run", "--json").stdout)
    assert (planned["deleted"], planned["kept"]) == ([ids[0]], ids[1:])
    assert "1 deleted, 2 kept" in run("prune", "--keep", "1").stdout
    assert not (home / "runs" / ids[0]).exists()


def test_a_run_that_is_unknown_or_unfinished_is_66_and_a_misplaced_option_2(home, ids):
    assert run("compare", ids[0], ids[2]).exit_code == 66
    assert run("pin", "nothing").exit_code == 66
    misplaced = run("--json", "pin", ids[0])
    assert misplaced.exit_code == 2
    assert "give options after 'pin'" in misplaced.stderr
