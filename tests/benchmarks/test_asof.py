"""The benchmark of the as-of join, small: it runs, and all contenders give the same answers."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_all_contenders_give_equal_answers_also_with_the_stock_store_in_parts_and_the_ratios_are_reported():
    size = ["--pairs", "2_000", "--versions", "12", "--whole", "20_000"]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.asof", *size, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    assert found["equal"] is True
    assert {"api_cpu_ratio", "api_rss_ratio", "job_cpu_ratio", "job_rss_ratio"} <= found.keys()
    assert (found["pairs"], found["versions"]) == (2_000, 12)
    assert found["stock"]["parts"] == 3
