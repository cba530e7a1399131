"The rules stop what their definitions say, W&B's the same as W&B's own engine."
import random
from types import SimpleNamespace

import pytest

from mlkit.tune.stop import ASHA, Hyperband, Median
from mlkit.tune.trials import Row

def book(rng, n, length):
    "Trials with random histories, some of them with gaps, some ended."
    rows = []
    for i in range(n):
        reports = {s: round(rng.uniform(0, 1), 2) for s in range(rng.randint(0, length))}
        rows.append(Row(i, i, rng.choice(['running', 'complete', 'pruned']), {}, reports=reports))
    return SimpleNamespace(rows=rows, counting=rows, modes=['max'])

@pytest.mark.parametrize('seed', range(100))
def test_hyperband_stops_what_wandb_stops(seed):
    sweeps = pytest.importorskip('sweeps')
    rng = random.Random(seed)
    goal, strict, eta = rng.choice(['minimize', 'maximize']), rng.random() < .5, rng.choice([2, 3, 1.5])
    how = dict(min_iter=rng.randint(1, 4)) if rng.random() < .5 else dict(max_iter=rng.randint(8, 30), s=rng.randint(1, 4))
    b = book(rng, rng.randint(1, 20), 20)
    state = dict(running='running', complete='finished', pruned='finished')
    def run(r): return sweeps.SweepRun(name=str(r.number), state=state[r.state], config={}, history=[{'m': v} for v in r.reports.values()])
    config = dict(method='random', metric=dict(name='m', goal=goal), parameters=dict(a=dict(min=0., max=1.)),
        early_terminate=dict(type='hyperband', eta=eta, strict=strict, **how))
    theirs = {int(r.name) for r in sweeps.stop_runs(config, [run(r) for r in b.rows])}
    rule = Hyperband(eta=eta, strict=strict, **how)
    assert {r.number for r in b.rows if r.state == 'running' and rule(b, r, 0, goal[:3])} == theirs

def test_asha_keeps_a_third_at_each_rung():
    rng, rule, rows = random.Random(0), ASHA(first=1, eta=3), []
    b = SimpleNamespace(rows=rows, counting=rows, modes=['max'])
    for i in range(300):
        row = Row(i, i, 'running', {})
        rows.append(row)
        top = rng.random()
        for step in range(9):
            row.reports[step] = top
            if rule(b, row, step, 'max'): break
    reached = [sum(len(r.reports) > n for r in rows) for n in (0, 1, 3)]
    assert reached[0] == 300 and reached[1] < 130 and reached[2] < 60
    best = max(rows, key=lambda r: r.reports[0])
    assert len(best.reports) == 9

def test_median_waits_for_its_trials():
    rows = [Row(i, i, 'complete', {}, reports=dict.fromkeys(range(5), .5)) for i in range(4)]
    bad = Row(9, 9, 'running', {}, reports=dict.fromkeys(range(5), .1))
    assert not Median(trials=5)(SimpleNamespace(rows=[*rows, bad]), bad, 4, 'max')
    assert Median(trials=4)(SimpleNamespace(rows=[*rows, bad]), bad, 4, 'max')

def test_who_goes_on_from_a_checkpoint_is_as_old_as_it_was(tmp_path):
    "The heir of a killed worker keeps what was reported before the checkpoint, and the dead one no longer counts in a rung."
    from test_tune_study import start, study
    code = ("import time\ns = study(stop=ASHA(first=2)); t = s.ask()\nfor i in range(3): t.report(acc=.5 + i)\nt.save('epoch-3.pt')\n"
        "print('ready', flush=True); time.sleep(99)")
    p = start(code, tmp_path)
    p.stdout.readline()
    p.kill()
    p.communicate()
    s = study(tmp_path, stop=ASHA(first=2))
    t = s.ask()
    assert (t.checkpoint, t.row.reports, len(s.ledger.counting)) == ('epoch-3.pt', {0: .5, 1: 1.5, 2: 2.5}, 1)
    t.report(acc=9.)
    assert t.row.reports[3] == 9. and s.optuna.trials[1].intermediate_values == {0: .5, 1: 1.5, 2: 2.5, 3: 9.}

def test_who_starts_anew_reports_anew(tmp_path):
    from test_tune_study import start, study
    p = start("import time\ns = study(); t = s.ask(); t.report(acc=1.)\nprint('ready', flush=True); time.sleep(99)", tmp_path)
    p.stdout.readline()
    p.kill()
    p.communicate()
    assert study(tmp_path).ask().row.reports == {}
