"""bidrec: which companies will bid on a new notice, and which open notices a company should bid on."""

__version__ = "0.1.0"
