import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.storage import locks
from bidrec.storage.sealed import write_manifest
from jobs import doctor
from tests import tables
from tests.disks import read_only, small
from tests.features.lakes import write_lake


def run(*arguments: str):
    return CliRunner().invoke(doctor.doctor, list(arguments))


def checks(*arguments: str) -> dict[str, dict[str, str]]:
    return {check["what"]: check for check in json.loads(run("--json", *arguments).stdout)["checks"]}


def test_a_machine_that_is_set_up_passes_and_only_lacks_a_source(home):
    outcome = run("--json")
    assert outcome.exit_code == 0
    found = json.loads(outcome.stdout)
    assert found["ok"]
    assert [check["what"] for check in found["checks"] if check["mend"] and check["what"] != "disk"] == ["source"]
    assert not home.exists()


def test_people_get_a_line_for_each_check_with_the_way_to_mend_it(home):
    lines = run().stdout.splitlines()
    assert lines[0].startswith("ok    python")
    assert lines[-1].startswith("WARN  source")
    assert lines[-1].endswith("run `bidrec demo`")


def test_a_home_that_cannot_be_written_fails_with_73(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BIDREC_HOME", str(tmp_path / "file"))
    assert run().exit_code == 73
    assert checks()["home"]["state"] == "fail"
    assert "BIDREC_HOME" in checks()["home"]["mend"]


def test_a_home_that_became_read_only_fails_with_73_and_everything_else_is_still_said(home):
    home.mkdir()
    (home / ".train.lock").touch()
    with read_only(home):
        outcome = run()
        assert outcome.exit_code == 73
        assert [line.split()[1] for line in outcome.stdout.splitlines()] == list(checks())
        assert "Read-only file system" in checks()["home"]["found"]


def test_a_box_of_the_home_that_only_another_user_may_write_fails_with_73_and_is_named(home):
    (home / "features").mkdir(parents=True)
    with read_only(home / "features"):
        assert run().exit_code == 73
        assert f"{home / 'features'} may not be written and belongs to user" in checks()["home"]["found"]
        assert "chown -R" in checks()["home"]["mend"]


def test_a_home_on_a_full_disk_fails_with_73_and_says_what_makes_room(home):
    home.mkdir()
    with small(home):
        with suppress(OSError), (home / "rows").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert run().exit_code == 73
        assert "bidrec runs prune" in checks()["home"]["mend"]


def test_a_home_on_a_volume_that_cannot_hold_one_fails_with_73_before_a_job_is_refused(home, monkeypatch):
    (home / "lake").mkdir(parents=True)
    (home / ".train.lock").touch()
    with small(home / "lake"):
        assert run().exit_code == 73
        assert "lake is on a volume of its own" in checks()["home"]["found"]
    assert run().exit_code == 0

    def unknown(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", unknown)
    assert run().exit_code == 73
    assert "keeps no locks" in checks()["home"]["found"]
    assert sorted(os.listdir(home)) == [".train.lock", "lake"]


def test_a_missing_package_fails_with_69_and_says_how_to_get_it(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "fbgemm_gpu", None)  # import raises ImportError
    assert run().exit_code == 69
    assert checks()["stack"]["state"] == "fail"
    assert "make setup" in checks()["stack"]["mend"]


def test_torch_without_a_folder_for_temporary_files_says_which_to_give_it(home):
    code = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc']; import jobs.cli; jobs.cli.main()"
    done = subprocess.run([sys.executable, "-c", code, "doctor"], capture_output=True, text=True)
    assert done.returncode == 69
    assert "or to another folder named by TMPDIR" in done.stdout


def test_packages_that_were_not_built_for_each_other_fail(home, monkeypatch):
    import torchrec

    monkeypatch.setattr(torchrec, "__version__", "1.7.0")
    assert checks()["stack"]["state"] == "fail"
    assert "do not belong together" in checks()["stack"]["found"]


def test_a_gpu_that_is_asked_for_and_not_there_fails(home, monkeypatch, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (tmp_path / "bidrec.toml").write_text('[training]\ndevice = "cuda"')
    assert checks("--config", str(tmp_path / "bidrec.toml"))["gpu"]["state"] == "fail"


def test_a_source_is_reached_or_not_and_the_reason_is_said_without_a_password(home, monkeypatch, tmp_path):
    for name in ("notice", "company", "bid"):
        (tmp_path / f"{name}.csv").write_text("a,b\n")
    (tmp_path / "bidrec.toml").write_text(f'[source]\nname = "koneps"\npath = "{tmp_path}"')
    assert checks("--config", str(tmp_path / "bidrec.toml"))["source"]["found"] == "koneps: 3 files, 0 MB"
    (tmp_path / "bid.csv").unlink()
    assert run("--config", str(tmp_path / "bidrec.toml")).exit_code == 66
    (tmp_path / "bidrec.toml").write_text('[source]\nname = "koneps"')
    monkeypatch.setenv("BIDREC_SOURCE_URL", "postgresql://kim:s3cret@127.0.0.1:1/koneps")
    finding = checks("--config", str(tmp_path / "bidrec.toml"))["source"]
    assert finding["state"] == "fail"
    assert "127.0.0.1:1/koneps" in finding["found"]
    assert "s3cret" not in json.dumps(finding)


def test_what_is_wrong_in_the_home_is_found_with_the_way_to_mend_it(home):
    (home / "runs" / "20250101T000000Z-abcdef").mkdir(parents=True)
    (home / "runs" / "20250101T000000Z-abcdef" / "config.json").write_text("{}")
    damaged = home / "runs" / "20250102T000000Z-abcdef"
    damaged.mkdir()
    (damaged / "config.json").write_text("{}")
    (damaged / "manifest.json").write_text("{")
    (home / "published").mkdir()
    (home / "published" / "current").symlink_to("gone")
    (home / "lake").mkdir()
    (home / "lake" / "manifest.json").write_text("{")
    outcome = run("--json")
    assert outcome.exit_code == 66
    found = [check for check in json.loads(outcome.stdout)["checks"] if check["what"] == "health"]
    assert [check["state"] for check in found] == ["fail", "fail", "warn", "fail"]
    assert "lake" in found[0]["found"]
    assert found[1]["mend"] == "bidrec write-back publishes anew"
    assert "runs prune" in found[2]["mend"]
    assert str(damaged) in found[3]["mend"]


@pytest.mark.parametrize(
    ("spoil", "mend"), [(Path.unlink, "restore it from a backup"), (lambda file: file.write_bytes(b"PAR1"), "backup")]
)
def test_a_part_of_the_lake_that_a_backup_lacks_or_has_in_half_is_named(home, spoil, mend):
    write_lake(home, notice=[tables.notice()], bid=[tables.bid()])
    assert "health" not in checks()
    part = home / "lake" / "bid" / "000001.parquet"
    spoil(part)
    found = checks()["health"]
    assert (found["state"], found["found"]) == ("fail", f"{part} is gone, or not as it was written")
    assert mend in found["mend"]
    assert run().exit_code == 66


def test_a_published_run_that_was_deleted_by_hand_is_a_warning_that_says_what_write_back_will_do(home):
    write_manifest(home / "published" / "v1", kind="published", run="20250101T000000Z-abcdef")
    (home / "published" / "current").symlink_to("v1")
    assert checks()["health"]["found"] == "run 20250101T000000Z-abcdef, which is published, is gone"
    assert run().exit_code == 0


def test_another_feast_than_the_pinned_one_fails(home, monkeypatch):
    monkeypatch.setattr(doctor, "_FEAST", "0.1")
    assert checks()["feast"]["state"] == "fail"


def test_a_gpu_that_the_cpu_build_of_fbgemm_cannot_use_is_a_warning(home, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    monkeypatch.setattr(doctor, "version", _as_if_fbgemm_were_the_cpu_build)
    assert checks()["gpu"]["state"] == "warn"
    assert checks()["gpu"]["mend"] == "run `make setup DEVICE=cuda`"


def _as_if_fbgemm_were_the_cpu_build(package: str) -> str:
    if package == "fbgemm-gpu":
        raise PackageNotFoundError(package)
    return "1.0"


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_little_memory_or_disk_is_a_warning(home, monkeypatch, what):
    monkeypatch.setattr(doctor, f"_LEAST_{what.upper()}_GB", 10**6)
    assert checks()[what]["state"] == "warn"
    assert "1000000 GB are wanted" in checks()[what]["mend"]
