"""All that a run says of itself, written from one gathering of the facts.

Reads   runs/ID and what facts.py reads beside it
Writes  runs/ID/report.html, runs/ID/model_card.md and .json
"""

from pathlib import Path

from bidrec.config import Config
from bidrec.errors import ContractError
from bidrec.ranking.names import MEASURED_BY
from bidrec.reporting.facts import gather
from bidrec.reporting.model_card import write_card
from bidrec.reporting.page import write_page
from bidrec.runs import recipe
from bidrec.runs.run import Run


def describe_run(config: Config, run: Run) -> dict[str, Path]:
    """Make the run's page and card anew, each file whole or not at all; returns where they lie.

    Raises InputMissing (66) where the run has no metrics, ContractError (65) where another bidrec measured it, as the
    words around the figures are this one's, CannotWrite (73).
    """
    if run.metrics().get(MEASURED_BY) != recipe.now()["measuring"]:
        raise ContractError(
            f"run {run.id} was measured by another bidrec, and this one would explain its figures wrongly",
            hint="what was written of it then stays"
            + f"; bidrec evaluate --run {run.id} measures it anew" * run.of_this_code,
        )
    facts = gather(config, run)
    return {"report": write_page(run, facts), "model_card": write_card(run, facts)}
