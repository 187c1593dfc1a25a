import pytest
import torch

from bidrec.model.adam import EPSILON, MEAN_DECAY, SQUARE_DECAY, adam


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_ten_steps_are_those_of_adam_by_hand(weight_decay: float) -> None:
    torch.manual_seed(0)
    weight, mean, square, step = torch.randn(3, 5), torch.zeros(3, 5), torch.zeros(3, 5), torch.zeros(())
    wanted, first, second = weight.double(), torch.zeros(3, 5).double(), torch.zeros(3, 5).double()
    for at in range(1, 11):
        gradient = torch.randn(3, 5)
        step += 1
        adam([weight], [gradient], [mean], [square], [step], 0.01, weight_decay=weight_decay)
        pulled = gradient.double() + weight_decay * wanted
        first = MEAN_DECAY * first + (1 - MEAN_DECAY) * pulled
        second = SQUARE_DECAY * second + (1 - SQUARE_DECAY) * pulled.square()
        root = (second / (1 - SQUARE_DECAY**at)).sqrt() + EPSILON
        wanted = wanted - 0.01 * first / (1 - MEAN_DECAY**at) / root
        torch.testing.assert_close((weight, mean, square), (wanted.float(), first.float(), second.float()))
