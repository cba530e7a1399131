"""Workers of a study are killed with SIGKILL at random moments, inside the lock and inside a write; the study goes on.

`MLKIT_TEST_KILLS=200 pytest -s tests/test_tune_kill.py` is the long form; it prints how long the others were held up."""
import os, random, signal, subprocess, sys, time
from pathlib import Path

import pytest

from mlkit.tune.space import randint, uniform
from mlkit.tune.study import Study

KILLS = int(os.environ.get('MLKIT_TEST_KILLS', 10))
ENV = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH')])))
pytestmark = pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs SIGKILL')

OPEN = """
import os, random, signal, sys, time
from mlkit.tune.space import randint, uniform
from mlkit.tune.study import Study
def study(**kw): return Study('s', dict(x=uniform(0, 1), n=randint(1, 4)), 'max acc', sampler='random', track=False, project='p',
    store=sys.argv[1], **kw)
"""

# Kills itself at the n-th write: before it, after half of it, or after all of it; each time with the lock held.
SUICIDE = """
where, left, write = sys.argv[2], int(sys.argv[3]), os.write
def dying(fd, data):
    global left
    if not bytes(data).startswith((b'{"op_code', b'\\n{"op_code')): return write(fd, data)
    left -= 1
    if left > 0 or where == 'outside': return write(fd, data)
    if where != 'lock': write(fd, data[:len(data)//2] if where == 'half' else data)
    os.kill(os.getpid(), signal.SIGKILL)
os.write = dying
"""

# What was said to be done is done: each line comes after the call returned.
LOOP = """
s = study(retries=2)
write(1, b'ready\\n')
while True:
    t = s.ask(); write(1, b'asked %d\\n' % t.number)
    t.report(acc=.1); time.sleep(.002)
    row = s.tell(t, t['x']); write(1, b'told %d %r\\n'.replace(b'%r', repr(t['x']).encode()) % row.number)
"""

BYSTANDER = """
s, worst, found, n = study(retries=2), 0., 0., 0
print('ready', flush=True)
while not os.path.exists(sys.argv[2]):
    start = time.monotonic()
    t = s.ask(); s.tell(t, t['x'])
    worst, n = max(worst, time.monotonic() - start), n + 1
    time.sleep(.02)
print(worst, n)
"""

def start(code:str, *args:object)->subprocess.Popen:
    return subprocess.Popen([sys.executable, '-c', OPEN + code, *map(str, args)], env=ENV, stdout=subprocess.PIPE, text=True)

def study(store, **kw):
    given = dict(sampler='random', track=False, project='p', store=store, retries=2)
    return Study('s', dict(x=uniform(0, 1), n=randint(1, 4)), 'max acc', **{**given, **kw})

def kill_one(store, rng:random.Random, where:str)->list[str]:
    "What a worker said before it was killed."
    p = start(SUICIDE + LOOP, store, where, rng.randint(1, 12))
    if where == 'outside':
        p.stdout.readline()
        time.sleep(rng.random()*.1)
        p.kill()
    said = p.stdout.read().split('\n')[:-1]
    assert p.wait() == -signal.SIGKILL, f'{where}: the worker ended by itself'
    return said

def seconds_until_found(s:Study)->float:
    "How long the dead worker's trials still pass for running; any look at the study is enough."
    began = time.monotonic()
    while any(s.ledger.rows[r.number].attrs['worker'] != s.worker for r in s.rows if r.state == 'running'): time.sleep(.05)
    return time.monotonic() - began

def test_a_study_outlives_workers_killed_anywhere(tmp_path):
    rng, told, asked, waits = random.Random(0), {}, [], []
    watch, over = study(tmp_path), tmp_path/'over'
    for i in range(KILLS//2):
        for line in kill_one(tmp_path, rng, ('outside', 'half', 'lock', 'all')[i % 4]):
            what, *rest = line.split()
            if what == 'told': told[int(rest[0])] = float(rest[1])
            if what == 'asked': asked.append(int(rest[0]))
        waits.append(seconds_until_found(watch))
        t = study(tmp_path).ask()                               # it opens, and goes on
        told[watch.tell(t.number, t['x']).number] = t['x']
    by = start(BYSTANDER, tmp_path, over)
    by.stdout.readline()
    for i in range(KILLS//2):
        for line in kill_one(tmp_path, rng, ('lock', 'outside', 'half', 'all')[i % 4]):
            if line.startswith('told'): told[int(line.split()[1])] = float(line.split()[2])
    over.write_text('')
    worst, n = by.stdout.read().split()
    assert by.wait() == 0 and int(n) > 0
    s = study(tmp_path)
    s.bury(now=True)
    check(s, told)
    print(f'\n{KILLS//2*2} kills: dead trials found within {max(waits):.2f} s (median {sorted(waits)[len(waits)//2]:.2f}), '
        f'the longest ask and tell of a bystander {float(worst):.2f} s, {s.ledger.journal.skipped} torn lines, {len(s.rows)} trials')

def check(s:Study, told:dict[int, float])->None:
    "Nothing acknowledged is lost, nobody is left behind, and every death is retried, at most twice."
    rows = s.rows
    assert not s.ledger.running
    for n, x in told.items(): assert rows[n].state == 'complete' and rows[n].values == [x], rows[n]
    again = {}
    for r in rows:
        if 'retry_of' in r.attrs: again.setdefault(r.attrs['retry_of'], []).append(r)
    for r in rows:
        if not r.attrs.get('lost'): continue
        tries, later = r.attrs.get('tries', 0), again.get(r.number, [])
        assert len(later) == (tries < 2), (r, later)
        assert all(o.params == r.params and o.attrs.get('tries') == tries + 1 for o in later)
    assert max(r.attrs.get('tries', 0) for r in rows) <= 2
    assert len(s) == len(rows) - len(again)
    assert len(s.optuna.trials) == len(rows)

def test_a_burial_that_was_cut_off_is_done_again(tmp_path):
    "A worker that dies while it buries another one must not take the other's point with it."
    p = start('s = study(); s.ask()\nos.kill(os.getpid(), 9)', tmp_path)
    p.communicate()
    s = study(tmp_path)
    path = s.ledger.journal.path
    before = path.stat().st_size
    assert s.bury(now=True) == 1
    whole = path.read_bytes()
    for cut in [*range(before, len(whole), 13), *(i for i, c in enumerate(whole) if c == 10 and i >= before)]:      # and without its end
        path.write_bytes(whole[:cut])
        s = study(tmp_path)
        s.bury(now=True)
        again = [r for r in s.rows if r.attrs.get('retry_of') == 0]
        assert s.rows[0].state == 'fail' and [r.state for r in again] == ['waiting'] and again[0].params == s.rows[0].params

def test_an_interrupted_trial_that_was_thought_dead_waits_once(tmp_path):
    a, b = study(tmp_path), study(tmp_path)
    with pytest.raises(KeyboardInterrupt), a.trial():
        b.ledger.refresh()
        b.ledger.journal.append(b._lost(b.ledger.rows[0]))
        raise KeyboardInterrupt
    assert len(study(tmp_path).ledger.waiting) == 1

def test_a_late_result_counts_while_its_retry_runs_and_after_it(tmp_path):
    a, b = study(tmp_path), study(tmp_path)
    t, u = a.ask({'x': .1, 'n': 1}), a.ask({'x': .2, 'n': 1})
    b.ledger.refresh()
    for r in list(b.ledger.rows): b.ledger.journal.append(b._lost(r))
    running = b.ask()                                          # the retry of t
    done = b.ask()
    b.tell(done, .5)
    a.tell(t, .7)
    a.tell(u, .9)
    b.tell(running, .6)
    s = study(tmp_path)
    assert sorted(r.values[0] for r in s.rows if r.state == 'complete') == [.5, .6, .7, .9]
    assert s.best.values == [.9] and not s.ledger.running and not s.ledger.waiting

def test_optuna_goes_on_with_a_journal_that_was_torn(tmp_path):
    optuna = pytest.importorskip('optuna')
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    s = study(tmp_path)
    for t in s.trials(3): s.tell(t, t['x'])
    theirs = optuna.load_study(study_name='s', storage=JournalStorage(JournalFileBackend(str(s.ledger.journal.path))))
    theirs.optimize(lambda t: t.suggest_float('x', 0, 1)*t.suggest_int('n', 1, 4), n_trials=2)
    assert [r.state for r in s.rows] == ['complete']*5 and s.ledger.journal.skipped == 0
    with open(s.ledger.journal.path, 'ab') as f: f.write(b'{"op_code":4,"tri\n\xff\xfe\n{"a":1}\n{"op_code":"')
    again = study(tmp_path)
    again.optuna.optimize(lambda t: t.suggest_float('x', 0, 1), n_trials=2)
    again.tell(again.ask(), .5)
    assert [r.state for r in again.rows] == ['complete']*8 and again.ledger.journal.skipped == 4

@pytest.mark.skipif(KILLS < 100, reason='the long form; test_tune_study.py has it once')
def test_sixteen_processes_create_one_study_twenty_times(tmp_path):
    code = "s = study()\nfor _ in range(3): t = s.ask(); print(t.number, flush=True); s.tell(t, t['x'])"
    for i in range(20):
        ps = [start(code, tmp_path/str(i)) for _ in range(16)]
        numbers = [int(o) for p in ps for o in p.communicate()[0].split()]
        assert all(p.returncode == 0 for p in ps) and sorted(numbers) == list(range(48))
