from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bidrec.config import Model, Training
from bidrec.errors import DependencyDown
from bidrec.model.towers import network
from bidrec.model.two_tower import build
from bidrec.training import graphs
from bidrec.training.machine import fit_to
from tests.training.sets import ON_A_GPU, training_set


@pytest.mark.parametrize("place", ["cpu", pytest.param("cuda", marks=ON_A_GPU)])
def test_recorded_layers_give_the_same_vectors_and_gradients_step_after_step(place: str) -> None:
    """On a CPU nothing is recorded or compiled: there it is the filling and the cutting that is tested."""
    with torch.compiler.set_stance("default" if place == "cuda" else "force_eager"):
        seen = [steps_of(recorded, place) for recorded in (False, True)]
    torch.testing.assert_close(seen[0], seen[1])


def steps_of(recorded: bool, place: str) -> list[Tensor]:
    """The vectors and the gradients of some steps of different sizes."""
    torch.manual_seed(1)
    layers = network(6, (16,), 4, dropout=0.0).to(place)
    names, seen = sorted(layers.state_dict()), []
    if recorded:
        graphs.record(layers)
    for rows in (17, 5, 33, 17):
        graphs.start_step(Training(cuda_graphs=recorded))
        layers.zero_grad(set_to_none=True)
        out = layers(torch.rand(rows, 6, generator=torch.Generator().manual_seed(rows)).to(place))
        out.square().sum().backward()
        seen += [out.detach().clone(), *(parameter.grad.clone() for parameter in layers.parameters())]
    assert sorted(layers.state_dict()) == names
    return seen


def test_without_gradients_nothing_is_recorded() -> None:
    layers = network(6, (16,), 4, dropout=0.0)
    rows = torch.rand(17, 6)
    wanted = layers(rows).detach()
    graphs.record(layers)
    with torch.compiler.set_stance("fail_on_recompile"):
        with torch.no_grad():
            assert torch.equal(layers(rows), wanted)
        with pytest.raises(RuntimeError, match="recompile"):
            layers(rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_graphs_without_a_gpu_are_a_missing_dependency() -> None:
    small = replace(Model(), embedding_dim=8, table_dim=16, hidden=(16,), company_hidden=16)
    with pytest.raises(DependencyDown, match="cuda_graphs needs a GPU"):
        fit_to(build(small, training_set().schema), Training(cuda_graphs=True), torch.device("cpu"))
