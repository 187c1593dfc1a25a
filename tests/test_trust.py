"""Nothing that is read can run code: no module of ours knows how to unpickle, and a run is read where nobody can."""

import ast
import pickle

import numpy as np
import pytest

from tests.test_architecture import MODULES, ROOT

UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {("torch", "load"), ("torch.jit", "load"), ("yaml", "load"), ("pandas", "read_pickle")}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_unpickles_or_evaluates_what_it_reads(module: str) -> None:
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not {name.partition(".")[0] for name in names} & UNSAFE
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in ("eval", "exec", "compile")
        assert tuple(called.rsplit(".", 1)) not in CALLS
        if called in ("np.load", "numpy.load", "np.save", "numpy.save"):
            assert "allow_pickle=False" in ast.unparse(node), f"{module}:{node.lineno}"


def test_an_array_that_holds_a_pickle_is_not_read(tmp_path) -> None:
    from bidrec.training_set.arrays import read

    np.save(tmp_path / "hidden.npy", np.array([{"code": "runs"}], dtype=object))
    with pytest.raises(ValueError, match=r"Python objects|pickle"):
        read(tmp_path / "hidden.npy")


def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, whoever unpickles fails."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refused)
