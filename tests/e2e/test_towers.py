"""The exported towers: read without TorchRec, and equal to the trained ones on rows they were not traced with."""

import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.errors import ConfigurationError
from bidrec.model.members import vectors_of
from bidrec.model.padded import PaddedHistory, padded
from bidrec.publishing import tower_files
from bidrec.publishing.tower_files import export_towers
from bidrec.runs.found import find
from bidrec.training.embed import gathered_companies, notice_vectors
from bidrec.training.resident import Resident
from bidrec.training.saved import load_model
from bidrec.training_set.arrays import TrainingSet
from jobs.export_towers import export_towers as command


@pytest.fixture(scope="module")
def exported(config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The towers' folder, and the warnings that PyTorch gave of the export."""
    folder, warned = tmp_path_factory.mktemp("towers") / "out", []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warned.append(record.getMessage())
    logger = logging.getLogger("torch._export.non_strict_utils")
    logger.addHandler(handler)
    done = CliRunner().invoke(command, ["--to", str(folder)], env={"BIDREC_HOME": config.home})
    logger.removeHandler(handler)
    assert done.exit_code == 0, done.stderr
    return folder, warned


@pytest.fixture
def folder(exported: tuple[Path, list[str]]) -> Path:
    return exported[0]


@pytest.fixture(scope="module")
def trained(config: Config):
    run = find(config.home_path)
    ts = TrainingSet.open(run.training_set)
    return load_model(ts.schema, run.model), Resident.of(ts, torch.device("cpu"))


@pytest.mark.parametrize("rows", [1, 5, 700])
def test_the_notice_tower_gives_the_same_vectors_for_any_number_of_rows(folder, trained, rows):
    model, data = trained
    batch = data.notice.take(torch.arange(rows), data.published_at[:rows])
    exported = torch.export.load(folder / "notice_tower.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(exported(*padded(batch)), model.notice(batch), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rows", [1, 60])
def test_the_company_tower_gives_the_same_vectors_as_of_any_time(folder, trained, rows):
    model, data = trained
    as_of = int(data.published_at[len(data.published_at) // 2])
    version_C = data.versions_as_of(as_of)
    known = version_C[version_C >= 0][:rows]
    notice_ND = notice_vectors(model, data)
    gathered = data.company_batch(known, as_of, 9)
    history = PaddedHistory.of(gathered.history)
    exported = torch.export.load(folder / "company_tower.pt2").module()
    with torch.no_grad():
        given = exported(
            *(notice_ND, history.notice_BL, history.known_BL, history.age_days_BL, history.count_B),
            *(padded(gathered.version), padded(gathered.profile), gathered.has_profile_B),
        )
        trained = gathered_companies(model, vectors_of(notice_ND, model.members), gathered)
        torch.testing.assert_close(given, trained, atol=1e-5, rtol=0)


def test_an_export_warns_of_nothing_that_is_as_it_should_be(exported):
    assert exported[1] == []


def test_no_file_holds_a_pickle_and_torch_alone_reads_them(folder):
    for name in ("notice_tower.pt2", "company_tower.pt2"):
        with zipfile.ZipFile(folder / name) as archive:
            whole = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
        assert not [file for file, content in whole if content[:1] == b"\x80" or file.endswith(".pkl")]
    script = (
        "import sys, torch\n"
        f"torch.export.load({str(folder / 'notice_tower.pt2')!r})\n"
        "print(sorted({'torchrec', 'fbgemm_gpu', 'bidrec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_folder_with_something_else_in_it_is_left_alone(config, tmp_path):
    (tmp_path / "notice.csv").touch()
    with pytest.raises(ConfigurationError, match="holds something else"):
        export_towers(find(config.home_path), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notice.csv"]


def test_what_differs_from_the_trained_tower_is_not_written(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tower_files, "TOLERANCE", -1.0)
    with pytest.raises(Exception, match="differs from the trained one"):
        export_towers(find(config.home_path), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_plain_towers_of_the_seed_are_refused(config, tmp_path, monkeypatch):
    monkeypatch.setattr(tower_files, "StaticTower", torch.nn.Module)
    with pytest.raises(ConfigurationError, match="static"):
        export_towers(find(config.home_path), tmp_path / "out")
