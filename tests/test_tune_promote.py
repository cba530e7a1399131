"Trials that are put aside go on from their checkpoints, in any number of processes, through kills, and on several ranks."
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import clean_env, until
from hypothesis import given, settings, strategies as st

from mlkit.tune import ASHA, PBT, Study, uniform
from mlkit.tune.stop import fronts, ranked
from mlkit.tune.study import StudyDone, StudyWaits
from mlkit.tune.trials import Row

HERE = Path(__file__).parent
PROGRAM = """
import sys, time
sys.path.insert(0, {here!r})
from mlkit.tune import ASHA, PBT, Study, uniform
how = dict(sampler='random', seed=0, store={store!r}, project='p', track=False, stop=ASHA(promote=True, max_iter=9))
def study(**kw): return Study('s', dict(top=uniform(0, 1)), 'max acc', **{{**how, **kw}})
def climb(t):
    for epoch in range(t.checkpoint or 0, 9):
        time.sleep(.02)
        t.save(epoch + 1)
        t.report(acc=t['top']*(1 - .5**(epoch + 1)))
"""

def study(folder, **kw):
    how = dict(sampler='random', seed=0, store=folder, project='p', track=False, stop=ASHA(promote=True, max_iter=9))
    return Study('s', **{**dict(space=dict(top=uniform(0, 1)), goal='max acc'), **how, **kw})

def start(code, folder):
    program = PROGRAM.format(here=str(HERE), store=str(folder)) + code
    return subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, text=True, env=clean_env())

def climb(t):
    for epoch in range(t.checkpoint or 0, 9):
        t.save(epoch + 1)
        t.report(acc=t['top']*(1 - .5**(epoch + 1)))

def test_the_best_third_of_each_rung_goes_on(tmp_path):
    s = study(tmp_path)
    s.run(climb, trials=27, progress=False)
    for age in (1, 3):
        reached = ranked(s.ledger.counting, age, ['max'])
        on = [r for r in reached if len(r.reports) > age]
        assert set(range(len(reached)//3)) <= {reached.index(r) for r in on}       # no one of the best was left behind
        assert len(on) <= len(reached)//2
    assert {r.state for r in s.rows} == {'complete', 'paused'} and s.best.params['top'] == max(r.params['top'] for r in s.rows)
    assert all(len(r.reports) in (1, 3, 9) and list(r.reports) == list(range(len(r.reports))) for r in s.rows)

def test_workers_share_what_was_put_aside(tmp_path):
    "Three processes: no epoch twice, no trial in two hands, and none of them leaves while another's report may free one."
    workers = [start("study().run(climb, trials=20, progress=False)", tmp_path) for _ in range(3)]
    try: assert [p.wait(60) for p in workers] == [0]*3
    finally: [p.kill() for p in workers]
    s = study(tmp_path)
    assert len(s) == 20 and not s.ledger.running and s.stop.go_on(s.ledger, last=True) is None
    assert {r.state for r in s.rows} == {'complete', 'paused'}
    records = [json.loads(o) for o in s.ledger.journal.path.read_text().splitlines()]
    reported = [(o['trial_id'], o['step']) for o in records if o['op_code'] == 7]
    assert len(reported) == len(set(reported)) == sum(len(r.reports) for r in s.rows)

def test_a_killed_worker_leaves_its_promoted_trial(tmp_path):
    "Killed in the middle of a promoted trial: its heir goes on from the last checkpoint."
    p = start("s = study()\nfor t in s.trials(9):\n    with t:\n        if t.row.stints: print('on', flush=True), time.sleep(99)\n"
        "        climb(t)", tmp_path)
    try:
        assert p.stdout.readline() == 'on\n'
        p.kill()
        p.wait()
    finally: p.kill()
    s = study(tmp_path)
    s.run(climb, trials=9, progress=False)
    heir = next(r for r in s.rows if 'retry_of' in r.attrs)
    dead = s.rows[heir.attrs['retry_of']]
    assert (dead.state, heir.params, len(s)) == ('fail', dead.params, 9)
    assert dead.stints and len(heir.reports) > len(dead.reports)

def test_ctrl_c_and_on(tmp_path):
    p = start("print('on', flush=True)\nstudy().run(climb, trials=12, progress=False)", tmp_path)
    try:
        p.stdout.readline()
        s = study(tmp_path)
        until(lambda: len(s) > 3)
        p.send_signal(signal.SIGINT)
        p.wait(30)
    finally: p.kill()
    s.run(climb, trials=12, progress=False)
    assert len(s) == 12 and not s.ledger.running and not s.ledger.waiting
    assert s.best.params['top'] == max(r.params['top'] for r in s.rows)

def test_a_small_study_has_a_winner(tmp_path):
    s = study(tmp_path)
    s.run(climb, trials=2, progress=False)
    assert sorted(r.state for r in s.rows) == ['complete', 'paused']

def test_who_has_nothing_to_do_waits_for_what_runs_elsewhere(tmp_path):
    p = start("s = study(); t = s.ask()\nprint('on', flush=True)\ntime.sleep(99)", tmp_path)
    try:
        p.stdout.readline()
        s = study(tmp_path)
        with pytest.raises(StudyWaits, match='trial 0 runs elsewhere'): s.ask(trials=1)
    finally:
        p.kill()
        p.wait()
    s.bury(now=True)
    t = s.ask(trials=1)                                              # the dead one's
    assert t.row.attrs['retry_of'] == 0
    with t: climb(t)
    assert t.row.state == 'paused'
    with s.ask(trials=1) as t: climb(t)
    with s.ask(trials=1) as t: climb(t)
    assert t.row.state == 'complete'
    with pytest.raises(StudyDone, match='has its 1 trials'): s.ask(trials=1)

def test_without_a_checkpoint_it_begins_anew(tmp_path):
    "It reports its first epochs a second time, and isn't put aside by them again."
    s = study(tmp_path)
    def forgetful(t):
        for epoch in range(9): t.report(acc=t['top']*(1 - .5**(epoch + 1)))
    s.run(forgetful, trials=9, progress=False)
    assert {r.state for r in s.rows} == {'complete', 'paused'} and {len(r.reports) for r in s.rows} == {1, 3, 9}

def test_nan_is_never_promoted(tmp_path):
    s = study(tmp_path)
    def bad(t): t.report(acc=float('nan'))
    s.run(bad, trials=6, progress=False)
    assert {(r.state, len(r.reports)) for r in s.rows} == {('pruned', 1)} and 'NaN' in s.rows[0].attrs['error']

def test_the_length_of_a_trial_is_learned(tmp_path):
    "Without `max_iter` the first trials that are trained to their end are put aside there, until one is seen to be complete."
    s = study(tmp_path, stop=ASHA(promote=True))
    s.run(climb, trials=40, progress=False)
    whole = [r for r in s.rows if len(r.reports) == 9]
    assert len(whole) > 2 and {r.state for r in whole} == {'complete'}

@pytest.mark.parametrize('promote', [False, True])
def test_stopped_trials_teach_the_sampler(tmp_path, promote):
    "With one goal and with two; Optuna's own TPE fails on stopped trials of two goals."
    for goal in ('max acc', ['max acc', 'min cost']):
        s = study(tmp_path/str(len(goal)), space=dict(size=uniform(0, 1)), goal=goal, sampler='tpe', stop=ASHA(promote=promote))
        def train(t):
            for epoch in range(t.checkpoint or 0, 9):
                t.save(epoch + 1)
                t.report(acc=1 - (t['size'] - .3)**2 - .5**epoch, cost=(t['size'] - .3)**2)
        s.run(train, trials=40, progress=False)
        assert len([r for r in s.rows[20:] if abs(r.params['size'] - .3) < .15]) > 8

def test_its_run_goes_on(tmp_path):
    from mlkit.track.store import runs
    s = study(tmp_path, track=True)
    s.run(climb, trials=6, progress=False)
    found = {r.id: r for r in runs('p', store=tmp_path)}
    assert len(found) == 6 and {r.status for r in found.values()} == {'finished'}
    for row in s.rows: assert list(found[row.attrs['run']].history('acc')['_step']) == list(range(len(row.reports)))

# Several goals

def beats(a, b): return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
@settings(deadline=None)
def test_nothing_stands_before_what_beats_it(points):
    order = fronts(points)
    assert sorted(order) == list(range(len(points)))
    place = {i: k for k, i in enumerate(order)}
    for i, a in enumerate(points):
        for j, b in enumerate(points): assert not beats(a, b) or place[i] < place[j]

def test_a_cut_keeps_the_whole_front():
    "Of a front of nine the best three are its ends and its middle."
    rows = [Row(i, i, 'paused', {}, reports={0: float(i)}, several={0: [float(i), float(8 - i)]}) for i in range(9)]
    assert {r.number for r in ranked(rows, 1, ['min', 'min'])[:3]} == {0, 8, 4}

def test_asha_for_two_goals_keeps_both_ends(tmp_path):
    "One goal alone would keep the accurate; the fast ones stay in the race as well."
    for promote in (False, True):
        s = study(tmp_path/str(promote), space=dict(size=uniform(0, 1), waste=uniform(0, 1)), goal=['max acc', 'min seconds'],
            stop=ASHA(promote=promote))
        def train(t):
            for epoch in range(t.checkpoint or 0, 9):
                t.save(epoch + 1)
                t.report(acc=t['size']*(1 - t['waste'])*(1 - .5**(epoch + 1)), seconds=t['size'] + t['waste'])
        s.run(train, trials=60, progress=False)
        done = [r for r in s.rows if r.state == 'complete']
        sizes = sorted(r.params['size'] for r in done)
        assert len(done) < 20 and sizes[0] < .25 and sizes[-1] > .75
        assert sum(r.params['waste'] for r in done)/len(done) < .3 and all(len(r.values) == 2 for r in done)

# Populations

def grow(t):
    "What is gained in an epoch is the larger, the nearer the rate is to .5; the checkpoint is a file, as a training's is."
    folder = Path(t.study.folder)/'made'/str(t.number)
    folder.mkdir(parents=True, exist_ok=True)
    begun = json.loads((Path(t.checkpoint)/'state.json').read_text()) if t.checkpoint else dict(epoch=0, value=0.)
    for epoch in range(begun['epoch'], 12):
        begun = dict(epoch=epoch + 1, value=begun['value'] + 1 - abs(t['rate'] - .5))
        temp = folder/'.state.json'
        temp.write_text(json.dumps(begun))
        temp.replace(folder/'state.json')
        t.save(str(folder))
        t.report(acc=begun['value'])

def population(folder, **kw): return study(folder, space=dict(rate=uniform(0, 1)), stop=PBT(population=8, every=3, max_iter=12), **kw)

def lines(s):
    "What each trial was, whoever tried it."
    return sorted((r.params['rate'], r.state, tuple(r.reports.values()), r.attrs.get('since', 0)) for r in s.rows)

def test_a_population(tmp_path):
    s = population(tmp_path).run(grow, progress=False)
    done = [r for r in s.rows if r.state == 'complete']
    heirs = [r for r in s.rows if 'parent' in r.attrs]
    assert (len(s), len(done), len(heirs)) == (8, 8, 6) and {r.attrs['since'] for r in heirs} == {3, 6, 9}
    for r in heirs:
        donor, loser = s.rows[r.attrs['parent']], s.rows[r.attrs['retry_of']]
        n = r.attrs['since']
        assert list(r.reports.values())[:n] == list(donor.reports.values())[:n] and loser.state == 'pruned' and len(loser.reports) == n
    alone = study(tmp_path/'alone', space=dict(rate=uniform(0, 1)), stop=None).run(grow, trials=8, progress=False)
    mean = lambda rows: sum(max(r.reports.values()) for r in rows)/8 # noqa: E731
    assert mean(done) > mean(alone.rows) and all(len(r.reports) == 12 for r in done)
    with pytest.raises(StudyDone, match='8 trials'): s.ask()

def test_a_population_in_several_processes(tmp_path):
    "A generation waits until it is whole, whoever works on it: donor and loser are of one age."
    s = population(tmp_path)
    s.run(grow, workers=3, progress=False)
    assert len(s) == 8 and sum(r.state == 'complete' and len(r.reports) == 12 for r in s.rows) == 8
    heirs = [r for r in s.rows if 'parent' in r.attrs]
    assert [r.attrs['since'] for r in heirs] == [3, 3, 6, 6, 9, 9]
    for r in heirs:
        assert len(s.rows[r.attrs['retry_of']].reports) == r.attrs['since']
        assert list(r.reports.values())[:r.attrs['since']] == list(s.rows[r.attrs['parent']].reports.values())[:r.attrs['since']]

def test_a_population_survives_kills(tmp_path):
    s, rng = population(tmp_path), random.Random(0)
    slow = f"""sys.path.insert(0, {str(HERE)!r})
import test_tune_promote as m
real = m.json.dumps
m.json.dumps = lambda o: (time.sleep(.02), real(o))[1]
m.population({str(tmp_path)!r}, retries=9).run(m.grow, progress=False)"""
    for _ in range(4):
        p = start(slow, tmp_path)
        time.sleep(1.2 + rng.random())
        p.kill()
        p.wait()
        s.bury(now=True)
    population(tmp_path, retries=9).run(grow, progress=False)
    assert len(s) == 8 and not s.ledger.running and not s.ledger.paused and not s.ledger.waiting
    assert sum(r.state == 'complete' and len(r.reports) == 12 for r in s.rows) == 8

def test_a_population_that_is_not_filled_comes_to_its_end(tmp_path):
    s = population(tmp_path)
    s.run(grow, trials=5, progress=False)
    assert [len(r.reports) for r in s.rows if r.state == 'complete'] == [12]*5 and len(s) == 5

def test_an_exchange_that_was_cut_off_is_made_again(tmp_path, monkeypatch):
    "The copies are there, the records are not: whoever asks next isn't stopped by what was left."
    s = population(tmp_path)
    def fail(records, sync=True): raise OSError(28, 'the disk is full')
    real = s.ledger.journal.append
    def append(records, sync=True):
        if any(o.get('user_attr', o.get('user_attrs', {})).get('parent') is not None for o in list(records)): fail(records)
        real(records, sync)
    monkeypatch.setattr(s.ledger.journal, 'append', append)
    with pytest.raises(OSError, match='disk is full'): s.run(grow, progress=False)
    monkeypatch.undo()
    s.run(grow, progress=False)
    assert sum(r.state == 'complete' and len(r.reports) == 12 for r in s.rows) == 8

def test_a_journal_that_cannot_be_written_stops_no_training(tmp_path, monkeypatch, capsys):
    s = study(tmp_path, stop=None)
    with s.ask() as t:
        monkeypatch.setattr(s.ledger.journal, 'append', lambda *a, **kw: (_ for _ in ()).throw(OSError(28, 'No space left')))
        for i in range(3): t.report(acc=float(i))
        monkeypatch.undo()
        t.report(acc=3.)
    assert t.row.reports == {i: float(i) for i in range(4)} and t.row.state == 'complete'
    assert sum('no report can be written' in o for o in capsys.readouterr().err.splitlines()) == 1

def test_a_crashed_donor_is_no_donor(tmp_path):
    "A member that fails drops out; the rest go on without it."
    s = population(tmp_path)
    def fragile(t):
        if t.number == 3 and not t.checkpoint: raise MemoryError('no more')
        grow(t)
    s.run(fragile, progress=False)
    assert sorted(r.state for r in s.ledger.counting) == ['complete']*7 + ['fail']

# Training on several ranks

RANKS = """
import torch, torch.nn.functional as F
from mlkit.train import DataLoaders, Learner, accuracy
from mlkit.tune import ASHA, ReportTrial, Study, log_uniform

def fit(learn, t):
    learn.fit(5, cbs=[ReportTrial(t)], progress=False)
    return learn.epoch, learn.stop

def train(t):
    torch.manual_seed(0)
    x = torch.randn(256, 2)
    y = (x.sum(1) > 0).long()
    dls = DataLoaders.from_tensors((x, y), (x[:128], y[:128]), bs=64)
    learn = Learner(torch.nn.Linear(2, 2), dls, F.cross_entropy, metrics=[accuracy], lr=t['lr'], device='cpu')
    one, two = learn.launch(fit, t, nprocs=2, timeout=120)
    assert one == two, (one, two)
"""

@pytest.mark.parametrize('promote', [False, True])
def test_the_first_rank_decides_for_all(tmp_path, promote):
    code = RANKS + f"""
s = Study('s', dict(lr=log_uniform(1e-4, 1)), 'max valid/accuracy', sampler='random', seed=0, project='p', store={str(tmp_path)!r},
    stop=ASHA(first={3 if promote else 1}, promote={promote}))
s.run(train, trials=2, progress=False)
for r in s.rows: print(r.state, sorted(r.reports), len(r.stints))
"""
    (tmp_path/'program.py').write_text(code)
    r = subprocess.run([sys.executable, str(tmp_path/'program.py')], capture_output=True, text=True, env=clean_env(), timeout=240)
    assert not r.returncode, r.stderr[-3000:]
    found = sorted(r.stdout.split('\n')[:2])
    if promote: assert found == ['complete [1, 2, 3, 4, 5] 1', 'paused [1, 2, 3] 1']
    else: assert found[0] == 'complete [1, 2, 3, 4, 5] 0' and found[1] in ('pruned [1] 0', found[0])
