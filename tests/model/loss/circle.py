"""Two notices and three companies on a circle; cosines are the angles' cosines."""

import math

import torch

ANGLES = torch.tensor([0.0, math.pi / 2]), torch.tensor([0.0, math.pi / 3, math.pi / 2])
NOTICES, COMPANIES = (torch.stack([angle.cos(), angle.sin()], dim=1) for angle in ANGLES)
SCALE = torch.tensor(2.0)
