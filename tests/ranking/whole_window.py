"""An evaluation whose rankers and candidates stay the same for the whole window."""

from bidrec.ranking.evaluate import Period, evaluate_periods


def evaluate(rankers, truth, candidates_C, settings, *, model):
    whole = Period(slice(0, len(truth.notices)), rankers, candidates_C)
    return evaluate_periods([whole], truth, settings, model=model, mode="frozen")
