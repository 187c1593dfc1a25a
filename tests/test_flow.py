import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from bidrec import flow, runs
from bidrec.config import Config, Split
from bidrec.locks import is_held


def test_a_second_training_of_the_same_waits_for_the_first_and_finds_it_finished(tmp_path, monkeypatch):
    config = Config(home=str(tmp_path), split=Split(train_before=date(2025, 1, 1)))
    at_work, both_there, go_on = threading.Event(), threading.Barrier(2), threading.Event()
    finished = []

    def finish(config, schema, inputs, run):
        at_work.set()
        both_there.wait()
        assert is_held(run.folder)
        go_on.wait()
        run.finish()
        finished.append(run)

    def second_in_line(*given, **named):
        run = start_or_resume(*given, **named)
        if at_work.is_set():
            both_there.wait()
        return run

    start_or_resume = runs.start_or_resume
    monkeypatch.setattr(runs, "start_or_resume", second_in_line)
    monkeypatch.setattr(flow, "prepare", lambda config: (None, "data"))
    monkeypatch.setattr(flow, "_finish", finish)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(flow.train, config)
        at_work.wait()
        second = pool.submit(flow.train, config)
        go_on.set()
        assert first.result() == second.result()
    assert finished == [first.result()]
    assert not is_held(finished[0].folder)
