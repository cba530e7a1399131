"A study survives what happens to its workers: starting all at once, being killed at any moment, or being thought dead too early."
import os, random, subprocess, sys, time
from pathlib import Path

import pytest

from mlkit.tune.space import choice, log_uniform, normal, randint, uniform
from mlkit.tune.study import Study, StudyDone

ENV = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH')])))
OPEN = "import sys\nfrom mlkit.tune import *\nspace = dict(x=uniform(0, 1), n=randint(1, 4))\n" \
    "def study(**kw): return Study('s', space, 'max acc', sampler='random', track=False, project='p', store=sys.argv[1], **kw)\n"

def start(code:str, *args:object)->subprocess.Popen:
    return subprocess.Popen([sys.executable, '-c', OPEN + code, *map(str, args)], env=ENV, stdout=subprocess.PIPE, text=True)

def study(store, space=None, name='s', **kw):
    space = dict(x=uniform(0, 1), n=randint(1, 4)) if space is None else space
    return Study(name, space, 'max acc', **{**dict(sampler='random', track=False, project='p', store=store), **kw})

def test_sixteen_processes_create_one_study(tmp_path):
    code = "s = study()\nfor _ in range(3): t = s.ask(); print(t.number, flush=True); s.tell(t, t['x'])"
    ps = [start(code, tmp_path) for _ in range(16)]
    numbers = [int(o) for p in ps for o in p.communicate()[0].split()]
    assert all(p.returncode == 0 for p in ps)
    assert sorted(numbers) == list(range(48))
    s = study(tmp_path)
    assert [r.state for r in s.rows] == ['complete']*48 and s.ledger._studies == 1 and not s.ledger.journal.skipped

def test_the_trial_of_a_killed_worker_is_tried_again_with_its_point_and_checkpoint(tmp_path):
    code = "import time\ns = study(); t = s.ask(); t.save('epoch-3.pt'); t.report(acc=.5); print('x', flush=True); time.sleep(60)"
    p = start(code, tmp_path)
    p.stdout.readline()
    s = study(tmp_path)
    assert s.rows[0].state == 'running'
    p.kill(); p.wait()
    s.bury(now=True)
    assert s.rows[0].state == 'fail' and s.rows[0].attrs['lost']
    t = s.ask()
    assert t.row.params == s.rows[0].params and t.checkpoint == 'epoch-3.pt' and t.row.attrs['retry_of'] == 0
    s.tell(t, .7)
    assert len(s) == 1 and s.best.number == 1

def test_retries_are_capped(tmp_path):
    for _ in range(3):
        p = start("import os\ns = study(retries=1); s.ask(); os.kill(os.getpid(), 9)", tmp_path)
        p.communicate()
        study(tmp_path, retries=1).bury(now=True)
    s = study(tmp_path, retries=1)
    assert [r.attrs.get('tries', 0) for r in s.rows] == [0, 1, 0, 1]          # the second death of a point is its last; then a new one
    assert [r.number for r in s.ledger.waiting.values()] == [3] and s.rows[3].params == s.rows[2].params

def test_a_late_result_counts_and_drops_the_retry(tmp_path):
    a, b = study(tmp_path), study(tmp_path)
    t = a.ask()
    b.ledger.refresh()
    b.ledger.journal.append(b._lost(b.ledger.rows[0]))
    a.tell(t, .9)
    s = study(tmp_path)
    assert s.best.values == [.9] and len(s) == 1 and not s.ledger.waiting

def test_killed_at_random_moments(tmp_path):
    rng = random.Random(0)
    loop = "s = study(retries=9)\nprint('x', flush=True)\nwhile True:\n    t = s.ask(); t.report(acc=.1); s.tell(t, t['x'])"
    for _ in range(8):
        ps = [start(loop, tmp_path) for _ in range(2)]
        for p in ps: p.stdout.readline()
        time.sleep(rng.random()*.2)
        for p in ps: p.kill(); p.wait()
        s = study(tmp_path, retries=9)
        s.bury(now=True)
        s.tell(s.ask(), 1.)                                              # usable, and at once
    assert not s.ledger.running
    assert [r.number for r in s.rows] == list(range(len(s.rows)))
    assert {r.state for r in s.rows} <= {'complete', 'fail', 'waiting'}
    assert len(s.optuna.trials) == len(s.rows)

def test_workers_that_die_are_replaced_and_the_total_holds(tmp_path):
    def deadly(t):
        import os
        if t.number in (2, 5): os.kill(os.getpid(), 9)
        return t['x']
    s = study(tmp_path).run(deadly, trials=12, workers=2)
    assert len(s) == 12 and sum(r.state == 'complete' for r in s.rows) == 12
    assert [r.number for r in s.rows if r.state == 'fail'] == [2, 5]

@pytest.mark.parametrize('sampler', ['random', 'tpe', 'grid', 'qmc'])
def test_a_finite_space_is_walked_without_repetition(tmp_path, sampler):
    space = dict(a=choice(*'abcdefgh'), b=randint(1, 4), c=choice(None, True, 1))
    s = study(tmp_path, space, sampler=sampler, seed=0)
    for t in s.trials(): s.tell(t, t['b'])
    assert len(s.rows) == 96 == len(s.ledger.points)
    with pytest.raises(StudyDone): s.ask()

def test_four_workers_share_a_finite_space(tmp_path):
    s = study(tmp_path, dict(a=randint(1, 40))).run(lambda a: a, workers=4)
    assert sorted(r.params['a'] for r in s.rows) == list(range(1, 41))

def test_repeats(tmp_path):
    s = study(tmp_path, dict(a=randint(1, 3)), sampler='grid', repeats=2)
    for t in s.trials(): s.tell(t, 1)
    assert sorted(r.params['a'] for r in s.rows) == [1, 1, 2, 2, 3, 3]

@pytest.mark.parametrize('sampler', ['random', 'tpe', 'cmaes', 'qmc'])
def test_every_sampler_serves_every_kind_of_setting(tmp_path, sampler):
    if sampler == 'cmaes': pytest.importorskip('cmaes')
    space = dict(lr=log_uniform(1e-4, 1), bell=normal(), n=randint(1, 9), q=uniform(0, 1, q=.3), kind=choice('a', [1], None),
        only=uniform(0, 1, when=dict(kind='a')), fixed=3)
    s = study(tmp_path, space, sampler=sampler, seed=0)
    for t in s.trials(25): s.tell(t, -t['lr'])
    assert all(('only' in r.params) == (r.params['kind'] == 'a') for r in s.rows)
    assert len(study(tmp_path, space).rows) == 25

def test_objectives_of_all_sorts(tmp_path):
    torch = pytest.importorskip('torch')
    def run(t):
        return [torch.tensor(.5), float('nan'), 'x', None, torch.zeros(2), True, dict(acc=torch.tensor([.7]), time=3)][t.number]
    rows = study(tmp_path).run(run, trials=7).rows
    assert [r.state for r in rows] == 'complete fail fail fail fail complete complete'.split()
    assert rows[6].metrics == dict(acc=pytest.approx(.7), time=3)
    assert 'no metric' in rows[3].attrs['error']

def test_interrupted_trials_wait_and_cost_no_retry(tmp_path):
    s = study(tmp_path)
    with pytest.raises(KeyboardInterrupt), s.trial(): raise KeyboardInterrupt
    t = s.ask()
    assert t.row.attrs['retry_of'] == 0 and t.row.attrs['tries'] == 0 and len(s) == 1

def test_a_torn_journal_goes_on(tmp_path):
    s = study(tmp_path)
    for t in s.trials(5): s.tell(t, .1)
    path = s.ledger.journal.path
    path.write_bytes(path.read_bytes()[:-30])
    again = study(tmp_path)
    assert [r.state for r in again.rows][:4] == ['complete']*4
    again.tell(again.ask(), .2)
    assert len(again.optuna.trials) == 6

def test_an_interrupt_while_reading_loses_nothing(tmp_path):
    "Ctrl-C comes when it likes, also between two records of the journal that are being replayed."
    s = study(tmp_path)
    for _ in range(5): s.tell(s.ask(), 1.)
    other, calls = study(tmp_path), []
    other.ledger.__init__(other.ledger.journal.path)
    real = other.ledger._apply
    def apply(o):
        calls.append(o)
        if len(calls) == 7: raise KeyboardInterrupt
        real(o)
    other.ledger._apply = apply
    with pytest.raises(KeyboardInterrupt): other.ledger.refresh()
    del other.ledger._apply
    assert [(r.number, r.state) for r in other.rows] == [(i, 'complete') for i in range(5)]
    other.tell(other.ask(), 2.)
    assert len(s) == len(other) == 6
