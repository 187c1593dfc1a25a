import json
import sys
from importlib.metadata import PackageNotFoundError

import pytest
from click.testing import CliRunner

from jobs import doctor


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


def test_a_missing_package_fails_with_69_and_says_how_to_get_it(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "fbgemm_gpu", None)  # import raises ImportError
    assert run().exit_code == 69
    assert checks()["stack"]["state"] == "fail"
    assert "make setup" in checks()["stack"]["mend"]


def test_packages_that_were_not_built_for_each_other_fail(home, monkeypatch):
    import torchrec

    monkeypatch.setattr(torchrec, "__version__", "1.7.0")
    assert checks()["stack"]["state"] == "fail"
    assert "do not belong together" in checks()["stack"]["found"]


def test_a_gpu_that_is_asked_for_and_not_there_fails(home, monkeypatch, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (tmp_path / "bidrec.toml").write_text('[training]\ndevice = "cuda"\n[source]\nname = "koneps"')
    found = checks("--config", str(tmp_path / "bidrec.toml"))
    assert found["gpu"]["state"] == "fail"
    assert found["source"] == {"what": "source", "state": "ok", "found": "koneps", "mend": ""}


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


def test_little_memory_is_a_warning(home, monkeypatch):
    monkeypatch.setattr(doctor, "_LEAST_MEMORY_GB", 10**6)
    assert checks()["memory"]["state"] == "warn"
    assert run().exit_code == 0
