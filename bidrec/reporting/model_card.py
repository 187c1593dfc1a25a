"""A run's model card: what the model is, what it learned from, what it is for and not for, how good it is.

Reads   the facts
Writes  runs/ID/model_card.json, for programs, and runs/ID/model_card.md, the same for people
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bidrec.ranking.names import ORACLE
from bidrec.reporting.templates import environment, ranked
from bidrec.runs.run import Run
from bidrec.storage.sealed import FORMAT_VERSION, write_json
from bidrec.storage.whole import write_text
from bidrec.training_set.splits import day_of

JSON, MARKDOWN = "model_card.json", "model_card.md"
METRICS = ("recall@100", "recall@50", "recall@10", "hr@10", "ndcg@10", "mrr", "coverage@10", "gini@10")
USE = (
    "Companies that will probably bid on a public notice, and open notices that suit a company: to tell suppliers of "
    "notices they would miss, and buyers who is likely to answer.",
    "A score is the probability that the company bids, as far as the calibration below holds.",
)
NOT_FOR = (
    "Deciding who may bid, who wins, or what a bid is worth: the model learned who bids, and nothing of quality.",
    "Telling competitors of each other before an opening: a list of likely bidders helps those who rig bids.",
)


def write_card(run: Run, facts: Mapping[str, Any]) -> Path:
    """Write both files, each whole; returns the Markdown's path."""
    card = card_of(facts)
    write_json(run.folder / JSON, card)
    path = run.folder / MARKDOWN
    write_text(path, environment(html=False).get_template("model_card.md.jinja").render(card=card))
    return path


def card_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The card as plain JSON; what the run does not have is null."""
    settings, split = facts["settings"], facts["split"]
    return {
        "format": FORMAT_VERSION,
        "kind": "model_card",
        "run": facts["run"],
        "finished_at": facts["finished_at"],
        "model": {
            "what": "two towers that retrieve, and a blend of signals that orders what they and their neighbours find",
            "kind": settings["model"]["kind"],
            "parameters": facts["parameters"],
            "embedding_dim": settings["model"]["embedding_dim"],
            "signals": dict(zip(facts["blend"]["signals"], facts["blend"]["weight"], strict=True))
            if facts["blend"]
            else None,
        },
        "data": {
            "source": settings["source"]["name"],
            "inputs": facts["inputs"],
            "rows": facts["rows"],
            "range": facts["range"],
            "split": {name: day_of(moment) for name, moment in split.items()} if split else None,
            "windows": facts["windows"],
            "leak_audit": facts["audit"],
        },
        "use": list(USE),
        "not_for": list(NOT_FOR),
        "limits": _limits(facts),
        "warnings": facts["warnings"],
        "metrics": _metrics(facts),
        "licence": None,
        "reproduce": {
            "bidrec": facts["bidrec"],
            "packages": facts["packages"],
            "seed": settings["training"]["seed"],
            "configuration": settings,
        },
    }


def _metrics(facts: Mapping[str, Any]) -> dict[str, Any]:
    baseline, lead, calibration = facts["baseline"], facts["difference"], facts["calibration"]
    return {
        "test_window": facts["window"],
        "rankers": {
            mode: {
                name: {metric: row.get(metric) for metric in METRICS} | {"recall@100_ci": row["ci"]["recall@100"]}
                for name, row in table.items()
            }
            for mode, table in facts["metrics"].items()
        },
        "best_baseline": baseline["name"] if baseline else None,
        "lead": {key: lead[key] for key in ("metric", "mean", "ci")} if lead else None,
        "calibration": {key: value for key, value in calibration.items() if key != "bins"} if calibration else None,
    }


def _limits(facts: Mapping[str, Any]) -> list[str]:
    window, model = facts["window"], facts["model"]
    limits = [
        f"A company nobody knew at the cutoff cannot be recommended: {window['cold_share']:.1%} of the test window's "
        "bids are by such companies.",
        f"Measured on the {ranked(window)} notices with bids published from {window['from'][:10]} until "
        f"{window['until'][:10]}; other times and other markets may differ, and the weights age.",
        "It repeats the past: who bid much is shown much"
        + (f" ({model['coverage@10']:.0%} of the companies are in some first ten)." if "coverage@10" in model else "."),
        "Who may bid is judged by region and licence alone, as far as the notice and the company's profile state them.",
    ]
    if ORACLE in facts["metrics"]["frozen"]:
        limits.insert(0, "The market is invented: nothing here says how the model does on real bids.")
    return limits
