"""examples/alerts.yaml asks for nothing that no job writes."""

import re
from pathlib import Path

import pytest
import yaml

from bidrec.reporting.prometheus import EXPLAINED
from jobs.cli import COMMANDS

RULES = [
    rule
    for group in yaml.safe_load((Path(__file__).parents[1] / "examples" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_and_jobs_that_there_are(rule):
    metrics = re.findall(r"bidrec_(\w+)", rule["expr"])
    assert metrics
    assert {*metrics} <= {*EXPLAINED}
    jobs = {job for jobs in re.findall(r'job=~?"([^"]+)"', rule["expr"]) for job in jobs.split("|")}
    assert jobs <= {*COMMANDS}
    assert rule["annotations"]["summary"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_no_rule_lets_one_market_hide_another(rule):
    assert all("market" in by for by in re.findall(r"\bmax\b([^(]*\([^)]*\))", rule["expr"]))
