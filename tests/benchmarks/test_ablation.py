"""The ladder of ingredients, small: it runs, each rung is what it says, and the id put in is the company's."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.ablation import FINAL, RIVALS, ladder, with_company_id
from bidrec.config import Config, Model
from bidrec.training.resident import Resident
from tests.training.sets import training_set

ROOT = Path(__file__).parents[2]


def test_the_last_rung_is_the_configuration_itself_and_each_rung_differs_from_the_one_before():
    config = Config(model=replace(Model(), dropout=0.4))
    rungs = ladder(config)
    assert rungs[-1].config == config
    assert all((one.config, one.company_id) != (other.config, other.company_id) for one, other in pairwise(rungs))
    assert {rung.config.training.refit for rung in rungs} == {config.training.refit}
    assert len({rung.name for rung in rungs}) == len(rungs)


def test_every_known_company_gets_an_id_of_its_own_and_the_unknown_share_one():
    ts = training_set(companies=32)
    profiles = replace(
        ts.profile,
        dense=np.repeat(ts.profile.dense, 3, axis=0),
        attribute_values=np.repeat(ts.profile.attribute_values, 3),
        attribute_lengths=np.repeat(ts.profile.attribute_lengths, 3, axis=0),
        ages=np.repeat(ts.profile.ages, 3, axis=0),
        text_lengths=np.repeat(ts.profile.text_lengths, 3),
    )
    ts = replace(ts, profile=profiles, profile_company=np.array([0, 4, 7], np.int32))
    known_C = np.arange(32) != 7
    given = with_company_id(ts, known_C)
    base = ts.profile.attribute_rows
    assert given.profile.attribute_values.reshape(3, 2).tolist() == [
        [int(value), base + own] for value, own in zip(ts.profile.attribute_values, (1, 5, 0), strict=True)
    ]
    assert given.profile.attribute_rows == base + 33
    assert given.schema["profile"] == given.profile.schema
    assert Resident.of(given, torch.device("cpu")).companies == 32


def test_the_whole_ladder_is_climbed_on_an_invented_market():
    size = ["--notices", "700", "--companies", "120", "--bids", "6000", "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ablation", *size, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    rows = {row["name"]: row for row in found["rungs"]}
    names = [rung.name for rung in ladder(Config())]
    assert list(rows) == [*names, FINAL, *RIVALS, "oracle", "ceiling"]
    assert all(0 <= row["recall@10"] <= rows["ceiling"]["recall@10"] for row in rows.values())
    assert rows[FINAL]["recall@10"] > rows[names[0]]["recall@10"]
