"""The image, built and run as a cluster would: no network, read-only root, any user id, one writable volume."""

import json
import time
import tomllib
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e import containers
from tests.e2e.containers import CONFINED, ROOT, SMALL, docker, python, run

pytestmark = pytest.mark.container
LARGEST = 2e9
"""Bytes of the CPU image; where pip finds PyTorch only with CUDA, it cannot be that small."""
FORBIDDEN = """
import pathlib, shutil
print(*filter(shutil.which, "pip pip3 uv gcc cc g++ make git curl wget".split()))
print(*filter(lambda place: pathlib.Path(place).exists(), "/opt/installer /wheels /build /root/.cache".split()))
secrets = {"pip.conf", ".env", ".netrc", ".pypirc", "credentials", ".git", "bidrec.toml"}
places = map(pathlib.Path, "/etc /home /root /data /tmp /usr/share/bidrec /opt/bidrec".split())
print(*(path for place in places for path in place.glob("*") if path.name in secrets))
packages = pathlib.Path("/opt/bidrec/lib/python3.11/site-packages")
print(*(name for name in "pip pytest hypothesis tests".split() if (packages / name).exists()))
"""
"""Prints what should not be there."""


@pytest.fixture(scope="module")
def image() -> str:
    return containers.image()


@pytest.fixture
def volume(image: str) -> Iterator[str]:
    name = docker("volume", "create").stdout.strip()
    yield name
    docker("volume", "rm", "-f", name)


@pytest.fixture(scope="module")
def home(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Options of `docker run` for a home in which the demo ran, in 2 GB, and its configuration in /etc/bidrec.toml."""
    toml = tmp_path_factory.mktemp("etc") / "bidrec.toml"
    toml.write_text(SMALL, encoding="utf-8")
    name = docker("volume", "create").stdout.strip()
    options = ["--volume", f"{name}:/data", "--volume", f"{toml}:/etc/bidrec.toml:ro"]
    size = ["--notices", "1200", "--companies", "150", "--bids", "12000"]
    done = run("demo", "--json", *size, options=[*options, "--memory", "2g", "--memory-swap", "2g"], timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["metrics"]["metrics"]["frozen"]["final"]["recall@100"] > 0.5
    assert result["home"] == "/data/demo"
    toml.write_text(f'home = "/data/demo"\n[source]\nname = "koneps"\npath = "/data/demo/source"\n{SMALL}')
    yield options
    docker("volume", "rm", "-f", name)


def test_help_is_what_the_image_does_by_default(image):
    done = run()
    assert done.returncode == 0
    assert "Commands:" in done.stdout


def test_the_image_says_who_made_it_from_what_and_who_it_runs_as(image):
    config = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]
    assert config["User"] == "10001:0"
    assert config["WorkingDir"] == "/"
    assert list(config["Volumes"]) == ["/data"]
    assert "Healthcheck" not in config
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert labels["version"] == project["version"]
    assert labels["revision"] == "abc123"
    assert labels["licenses"]
    assert "PYTHONUNBUFFERED=1" in config["Env"]


def test_the_image_is_small_and_holds_no_installer_no_compiler_no_cache_and_no_secret(image):
    found = python(FORBIDDEN, "--user", "0")
    assert found.stdout.split() == []
    assert found.returncode == 0, found.stderr
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert "PASSWORD" not in history.upper()
    assert "://" not in history
    if "+cpu" in python("from importlib.metadata import version; print(version('torch'))").stdout:
        assert json.loads(docker("image", "inspect", image).stdout)[0]["Size"] < LARGEST


def test_the_image_has_a_record_of_every_package_in_it(image):
    script = (
        "import json, importlib.metadata as m\n"
        "found = json.load(open('/opt/bidrec/share/bidrec/packages.json'))['installed']\n"
        "recorded = {p['metadata']['name'].lower(): p['metadata']['version'] for p in found}\n"
        "there = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "there.pop('bidrec')\n"
        "print(json.dumps([len(there), sorted(there.items() ^ recorded.items())]))"
    )
    number, differences = json.loads(python(script).stdout)
    assert number > 50
    assert differences == []


def test_the_stack_is_whole_in_the_image(image, volume):
    done = run("doctor", "--json", options=["-v", f"{volume}:/data"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"]


def test_torch_and_duckdb_start_as_many_threads_as_the_container_may_use_cores(image):
    script = (
        "from click.testing import CliRunner; from jobs.cli import main\n"
        "CliRunner().invoke(main, ['doctor'])\n"
        "import torch, duckdb\n"
        "print(torch.get_num_threads(), duckdb.sql(\"SELECT current_setting('threads')\").fetchone()[0])"
    )
    assert python(script, "--cpus", "1").stdout.split() == ["1", "1"]


def test_training_without_a_source_is_66_and_one_line(image):
    done = run("train")
    assert done.returncode == 66
    assert done.stdout == ""
    said = done.stderr.splitlines()
    assert [line for line in said if line.startswith("error:")] == ["error: no source is configured"]
    log = [json.loads(line) for line in said if not line.startswith(("error:", "hint:"))]
    assert [(line["event"], line["exit_code"]) for line in log] == [("finished", 66)]


def test_the_demo_leaves_a_published_model_in_the_volume(home):
    listed = docker("run", "--rm", *home, "--entrypoint", "ls", containers.IMAGE, "/data/demo")
    assert {"lake", "features", "runs", "published"} <= set(listed.stdout.split())


def test_every_command_of_the_daily_work_runs_confined(home):
    metrics = ["--env", "BIDREC_METRICS_DIR=/data/metrics"]
    done = run("train", "--json", options=home)
    assert done.returncode == 0, done.stderr[-2000:]
    trained = json.loads(done.stdout)
    listed = json.loads(run("runs", "--json", options=home).stdout)["runs"]
    assert trained["run"] in [each["run"] for each in listed]
    assert len(listed) == 2  # the other one is the demo's
    published = run("write-back", "--json", options=[*home, *metrics])
    assert published.returncode == 0, published.stderr[-2000:]
    assert json.loads(published.stdout)["run"] == trained["run"]
    manifest = python("print(open('/data/demo/published/current/manifest.json').read())", *home)
    written = json.loads(manifest.stdout)
    assert (written["image"], written["revision"]) == ("bidrec:cpu", "abc123")
    assert written["lineage"]["inputs"]["at"] == "/data/demo/source"
    read = python("print(open('/data/metrics/bidrec_write_back.prom').read())", *home)
    assert 'bidrec_job_exit_code{job="write-back"} 0' in read.stdout
    assert f'bidrec_run_info{{job="write-back",run="{trained["run"]}"}} 1' in read.stdout

    company = python(
        "import duckdb; print(duckdb.sql(\"SELECT company_id FROM '/data/demo/published/current/"
        "company_embedding.parquet' ORDER BY company_id LIMIT 1\").fetchone()[0])",
        *home,
    ).stdout.strip()
    shown = run("recommend", "--company", company, "--json", options=home)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert json.loads(shown.stdout)["company"]["company_id"] == company

    filled = run("feast", "materialize", "--disable-event-timestamp", options=home)
    assert filled.returncode == 0, filled.stderr[-2000:]
    online = run(
        "feast", "get-online-features", "-e", f"company_id={company}", "-f", "company_embedding:run_id", options=home
    )
    assert json.loads(online.stdout)["run_id"] == [trained["run"]]


def test_what_was_published_is_browsed_from_outside_the_container(home):
    options = [*CONFINED[CONFINED.index("--read-only") :], "--publish", "127.0.0.1::8000", *home]
    name = docker("run", "-d", *options, containers.IMAGE, "explore", "--host", "0.0.0.0").stdout.strip()
    try:
        deadline = time.monotonic() + 120
        while '"listening"' not in docker("logs", name).stderr:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with urllib.request.urlopen(f"http://{docker('port', name, '8000').stdout.strip()}/") as answer:
            assert "Newest notices" in answer.read().decode()
        docker("stop", "-t", "30", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    finally:
        docker("rm", "-f", name)


def test_a_gpu_that_is_asked_for_and_not_there_is_69(home, tmp_path):
    toml = tmp_path / "bidrec.toml"
    source = '[source]\nname = "koneps"\npath = "/data/demo/source"\n'
    toml.write_text(f'home = "/data/demo"\n{source}{SMALL}'.replace("[training]", '[training]\ndevice = "cuda"'))
    done = run("train", "--config", "/cuda.toml", options=[*home, "--volume", f"{toml}:/cuda.toml:ro"])
    assert done.returncode == 69, done.stderr[-2000:]
    assert "error: training.device is 'cuda' and no GPU is here" in done.stderr


def test_a_stopped_container_ends_with_75(image, volume):
    """As the container's first process, which without a handler of its own does not hear SIGTERM."""
    name = docker("run", "-d", *CONFINED, "-v", f"{volume}:/data", image, "demo").stdout.strip()
    try:
        deadline = time.monotonic() + 60
        while not docker("logs", name).stderr:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        docker("stop", "-t", "30", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip() == "75"
    finally:
        docker("rm", "-f", name)
