"""Towers and losses: pure torch and TorchRec, testable on three rows. Knows no files, no Feast, no Click.

Dimension letters used in tensor names: B batch rows, N notices, C companies, L history length, F dense columns,
A attribute fields, D embedding length, K candidates.
"""
