"""All that a run says of itself, written from one gathering of the facts.

Reads   runs/ID and what facts.py reads beside it
Writes  runs/ID/report.html, runs/ID/model_card.md and .json
"""

from pathlib import Path

from bidrec.config import Config
from bidrec.reporting.facts import gather
from bidrec.reporting.model_card import write_card
from bidrec.reporting.page import write_page
from bidrec.runs import Run


def describe_run(config: Config, run: Run) -> dict[str, Path]:
    """Make the run's page and card anew, each file whole or not at all; returns where they lie.

    Raises InputMissing (66) where the run has no metrics, CannotWrite (73).
    """
    facts = gather(config, run)
    return {"report": write_page(run, facts), "model_card": write_card(run, facts)}
