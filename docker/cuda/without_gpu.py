"""At Python's start in the CUDA image: where there is no NVIDIA driver, fbgemm's CPU build comes first on the path.

The CUDA build does not even import there (libnvidia-ml.so.1 is the driver's); PyTorch's does, and computes on the CPU.
"""

import ctypes
import sys

try:
    ctypes.CDLL("libnvidia-ml.so.1")
except OSError:
    sys.path.insert(0, "/opt/bidrec/without-gpu")
