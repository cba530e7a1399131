"""Studies on a folder that hosts share without kernel locks: real processes, killed, stopped, and taken for another host's.

`MLKIT_TEST_KILLS=100` is the long form. `MLKIT_TEST_SHARED=FOLDER` runs all of it in a folder on a real file server or FUSE mount."""
import json, os, random, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

import pytest

from mlkit.tune import locks, storage
from mlkit.tune.locks import Token, kernel_locks, make_token
from mlkit.tune.space import randint, uniform
from mlkit.tune.storage import Journal, Lease, alive
from mlkit.tune.study import Study

KILLS = int(os.environ.get('MLKIT_TEST_KILLS', 12))
ENV = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH')])),
    MLKIT_LOCK='file', PYTHONWARNINGS='ignore')
pytestmark = [pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='needs SIGKILL'),
    pytest.mark.filterwarnings('ignore:mlkit. .* uses a lock file')]

@pytest.fixture(autouse=True)
def forced(monkeypatch):
    monkeypatch.setenv('MLKIT_LOCK', 'file')

@pytest.fixture
def place(tmp_path):
    "A folder, on the file system to be tested if one is named."
    if not (shared := os.environ.get('MLKIT_TEST_SHARED')): yield tmp_path; return
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)

# A host is what tells one boot from another; LEASE short, so that nobody waits.
HOST = """
import os, random, signal, socket, sys, time
from mlkit.tune import locks, storage
host, folder = sys.argv[1], sys.argv[2]
locks.LEASE = 1.
storage.BEAT, storage.STALE = .2, 1.5
if host: locks.boot_id = storage.boot_id = lambda: host; storage.socket = type('s', (), dict(gethostname=staticmethod(lambda: host)))
from mlkit.tune.storage import Journal, Lease, alive
from mlkit.tune.locks import Token
from mlkit.tune.space import randint, uniform
from mlkit.tune.study import Study
def say(*o): os.write(1, (' '.join(map(str, o)) + '\\n').encode())
def study(**kw): return Study('s', dict(x=uniform(0, 1), n=randint(1, 4)), 'max acc', sampler='random', track=False, project='p',
    store=folder, **kw)
"""

def start(code:str, host:str, folder:object, *args:object)->subprocess.Popen:
    what = [sys.executable, '-c', HOST + code, host, str(folder), *map(str, args)]
    return subprocess.Popen(what, env=ENV, stdout=subprocess.PIPE, text=True)

def finish(p:subprocess.Popen)->list[str]:
    out = p.communicate(timeout=60)[0].split('\n')[:-1]
    assert p.returncode == 0
    return out

APPEND = """
j = Journal(folder + '/j')
for i in range(int(sys.argv[3])): j.append([dict(op_code=1, by=sys.argv[4], i=i), dict(op_code=2, by=sys.argv[4], i=i)]); say(i)
"""

def test_eight_processes_on_four_hosts_lose_and_double_nothing(place):
    ps = [start(APPEND, f'host{n//2}', place, 40, n) for n in range(8)]
    for p in ps: finish(p)
    j = Journal(place/'j')
    got = j.read()
    assert not j.skipped and len(got) == 8*40*2
    assert all(a['by'] == b['by'] and a['i'] == b['i'] for a, b in zip(got[::2], got[1::2]))
    for n in range(8): assert [o['i'] for o in got[::2] if o['by'] == str(n)] == list(range(40))

def test_one_of_many_takes_the_token_of_a_dead_holder(place):
    make_token(place/'t')
    p = start("t = Token(folder + '/t'); say(t.acquire()); time.sleep(60)", 'far', place)
    assert p.stdout.readline() == '1\n'
    p.kill(); p.wait()
    began = time.monotonic()
    ps = [start("t = Token(folder + '/t'); n = t.acquire(); say(n, t.broken); t.release()", f'h{n}', place) for n in range(6)]
    got = sorted(line.split() for p in ps for line in finish(p))
    assert [int(n) for n, _ in got] == list(range(2, 8)) and [b for _, b in got].count('True') == 1
    assert time.monotonic() - began < 30

def test_a_dead_holder_on_the_same_host_is_found_at_once(place):
    make_token(place/'t')
    p = start("Token(folder + '/t').acquire(); say(1); time.sleep(60)", '', place)
    p.stdout.readline()
    p.kill()                                                   # and not waited for: a zombie is dead
    began = time.monotonic()
    assert Token(place/'t').acquire() == 2 and time.monotonic() - began < locks.LEASE/2
    p.wait()

@pytest.mark.parametrize('host', ['', 'far'])
def test_holders_killed_at_random_moments_lose_nothing_acknowledged(place, host):
    "From outside at any moment, the writes included; `host` decides whether the others see the process die, or its lease run out."
    rng, said = random.Random(1), {}
    for n in range(KILLS//2 if host else KILLS):
        p = start(APPEND, host, place, 100_000, n)
        told = [p.stdout.readline() for _ in range(rng.randint(1, 15))]
        time.sleep(rng.random()*.02)
        p.kill()
        told += p.stdout.readlines()
        p.wait()
        said[str(n)] = max(int(o) for o in told if o.endswith('\n'))
        finish(start("Journal(folder + '/j').append([dict(op_code=9, by='x')])", 'watcher', place))
    got = Journal(place/'j').read()
    for n, last in said.items():
        mine = [(o['i'], o['op_code']) for o in got if o.get('by') == n]
        assert len(mine) == len(set(mine)) and {(i, op) for i in range(last + 1) for op in (1, 2)} <= set(mine)
    assert sum(o.get('by') == 'x' for o in got) == len(said)

# Stopped at a chosen moment: after its last look at the clock, and before the write.
STOPPED = """
import threading
j, write = Journal(folder + '/j'), os.write
def late(fd, data):
    ours, late.done = bytes(data).startswith(b'{"op_code":1') and not late.done, True
    if ours: os.kill(os.getpid(), signal.SIGSTOP)
    return write(fd, data)
late.done = False
if sys.argv[3] == 'write': os.write = late
tries = 0
def add():
    global tries
    tries += 1
    n = len([o for o in Journal(folder + '/j').read() if o['op_code'] == 1])
    if sys.argv[3] == 'before' and tries == 1: os.kill(os.getpid(), signal.SIGSTOP)
    j.append([dict(op_code=1, n=n, by='stopped')])
j.within(add)
say(tries)
"""

def stopped(p:subprocess.Popen)->None:
    while Path(f'/proc/{p.pid}/stat').read_text().rpartition(')')[2].split()[0] != 'T': time.sleep(.01)

@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
@pytest.mark.parametrize('where', ['before', 'write'])
def test_a_holder_stopped_past_its_lease_writes_nothing_that_counts(place, where):
    p = start(STOPPED, 'slow', place, where)
    stopped(p)
    finish(start("j = Journal(folder + '/j')\nfor i in range(3): j.append([dict(op_code=1, n=i, by='other')])", 'other', place))
    p.send_signal(signal.SIGCONT)
    assert finish(p) == ['2']                                  # it noticed, and did it all again
    j = Journal(place/'j')
    assert [(o['n'], o['by']) for o in j.read() if o['op_code'] == 1] == [(0, 'other'), (1, 'other'), (2, 'other'), (3, 'stopped')]
    assert j.skipped == (where == 'write')
    again = storage.JournalBackend(place/'j')                  # Optuna sees the same
    assert len(again.read_logs(0)) == len(again.read_logs(0)) == 5

def test_a_late_write_before_the_next_holders_first_counts(place):
    "Nobody has written behind the lost lock yet: the late record is in time for all readers, and its writer knows."
    p = start(STOPPED, 'slow', place, 'write')
    stopped(p)
    token = Token(f'{place}/j.lock')
    os.rename(token.folder/token.look(), token.folder/'held-7-0-0-other.1.1.x.00')
    p.send_signal(signal.SIGCONT)
    assert finish(p) == ['1']
    assert len(Journal(place/'j')._open() and Journal(place/'j').read()) == 1

TRIALS = """
s = study(retries=2)
for _ in range(int(sys.argv[3])): t = s.ask(); say(t.number, t['x']); s.tell(t, t['x'])
"""

def study(place, **kw):
    given = dict(sampler='random', track=False, project='p', store=place, retries=2)
    return Study('s', dict(x=uniform(0, 1), n=randint(1, 4)), 'max acc', **{**given, **kw})

def test_hosts_that_create_one_study_at_once_number_its_trials_once(place):
    ps = [start(TRIALS, f'host{n}', place, 8) for n in range(6)]
    numbers = [int(line.split()[0]) for p in ps for line in finish(p)]
    assert sorted(numbers) == list(range(48))
    assert [r.state for r in study(place).rows] == ['complete']*48

def test_the_trial_of_a_dead_host_is_tried_again_and_its_late_result_counts(place, monkeypatch):
    monkeypatch.setattr(storage, 'STALE', 1.5)
    p = start("s = study(retries=2); t = s.ask(); say(t.number, t['x']); os.kill(os.getpid(), signal.SIGSTOP)\n"
        "s.tell(t, .25); say('told')", 'far', place)
    x = float(p.stdout.readline().split()[1])
    s = study(place)
    for _ in range(20):                                        # a living host's trial is left alone
        assert not s.bury(now=True)
        time.sleep(.02)
    end = time.monotonic() + 30
    while not s.bury(now=True) and time.monotonic() < end: time.sleep(.05)
    assert s.rows[0].state == 'fail' and s.rows[0].attrs['lost']
    again = s.ask()
    assert again.number == 1 and again['x'] == x
    p.send_signal(signal.SIGCONT)
    assert finish(p) == ['told']
    s.tell(again, .5)
    assert [(r.state, r.values) for r in s.rows] == [('fail', None), ('complete', [.5]), ('complete', [.25])]
    assert not s.ledger.running and not s.ledger.waiting

def test_a_dead_workers_trial_on_this_host_is_found_within_two_seconds(place):
    p = start("s = study(); s.ask(); say('in'); time.sleep(60)", '', place)
    p.stdout.readline()
    s = study(place)
    assert not s.bury(now=True)
    p.kill()
    began = time.monotonic()
    while not s.bury(now=True) and time.monotonic() - began < 10: time.sleep(.02)
    assert s.rows[0].state == 'fail' and time.monotonic() - began < 2
    p.wait()

def test_a_stopped_worker_that_asks_gets_a_trial_of_its_own(place):
    "Stopped between writing its trial and reading its number, past the lease; two must not work on one trial."
    p = start("""
s = study()
journal, sync = s.ledger.journal, type(s.ledger.journal).sync
def slow(self): sync(self); type(self).sync = sync; os.kill(os.getpid(), signal.SIGSTOP)
s.worker; type(journal).sync = slow
t = s.ask(); say(t.number); s.tell(t, .5)
""", 'slow', place)
    stopped(p)
    other = [int(line.split()[0]) for line in finish(start(TRIALS, 'other', place, 3))]
    p.send_signal(signal.SIGCONT)
    mine = [int(o) for o in finish(p)]
    assert sorted(mine + other) == list(range(4))
    assert [r.state for r in study(place).rows] == ['complete']*4

def test_waiting_ends_and_names_the_holder(place):
    make_token(place/'t')
    a, b = Token(place/'t'), Token(place/'t')
    a.acquire()
    with pytest.raises(TimeoutError, match=f'process {os.getpid()} on .* lives and holds'): b.acquire(wait=.2)
    a.release()
    (place/'t'/a.look()).unlink()
    with pytest.raises(TimeoutError, match='lost its token; delete the folder'): b.acquire(wait=.2)

def test_a_holder_that_is_busy_for_long_keeps_its_lock(place):
    p = start("j = Journal(folder + '/j')\nwith j.alone():\n say('in'); time.sleep(3); j.append([dict(op_code=1)])", 'busy', place)
    p.stdout.readline()
    finish(start("Journal(folder + '/j').append([dict(op_code=2)])", 'other', place))
    assert finish(p) == [] and [o['op_code'] for o in Journal(place/'j').read()] == [1, 2]

def test_a_host_with_kernel_locks_goes_over_when_another_host_comes(place, monkeypatch):
    monkeypatch.setenv('MLKIT_LOCK', 'kernel')
    server = Journal(place/'j')
    server.append([dict(op_code=1)])
    assert not server.token and 'lock' not in json.loads((place/'j').read_text())
    monkeypatch.setenv('MLKIT_LOCK', 'file')
    with pytest.warns(UserWarning, match='kernel locks may not reach all hosts'): Journal(place/'j').append([dict(op_code=2)])
    monkeypatch.setenv('MLKIT_LOCK', 'kernel')
    server.append([dict(op_code=3)])
    assert server.token and [o['op_code'] for o in server.read()] == [1, 2, 3]
    assert [json.loads(o).get('lock') for o in (place/'j').read_text().split('\n')[:-1]] == [None, 1, 2]

def test_a_lock_that_was_deleted_counts_on(place):
    j = Journal(place/'j')
    for n in range(5): j.append([dict(op_code=n)])
    shutil.rmtree(place/'j.lock')
    with pytest.raises(FileNotFoundError, match='lock of the study is gone'): j.append([dict(op_code=5)])
    Journal(place/'j').append([dict(op_code=6)])
    assert [o['op_code'] for o in Journal(place/'j').read()] == [0, 1, 2, 3, 4, 6]

def test_a_file_that_is_shorter_than_the_last_holder_left_it_is_not_written_to(place, monkeypatch):
    "A cache is behind: an append would go to where the file ended before."
    j, sleeps = Journal(place/'j'), []
    j.append([dict(op_code=1)])
    whole = (place/'j').read_bytes()
    (place/'j').write_bytes(b'')
    def catch_up(seconds):
        sleeps.append(seconds)
        if len(sleeps) == 15: (place/'j').write_bytes(whole)
    monkeypatch.setattr(storage.time, 'sleep', catch_up)
    j.append([dict(op_code=2)])
    assert [o['op_code'] for o in Journal(place/'j').read()] == [1, 2] and len(sleeps) == 15
    (place/'j').write_bytes(b'')
    with pytest.raises(OSError, match=f'still shows 0 of {2*len(whole)} bytes.* delete .*j.lock'): j.append([dict(op_code=3)])
    assert not Token(place/'j.lock').look().startswith('held')

def test_a_forked_child_holds_no_token(place):
    p = start("""
j = Journal(folder + '/j')
with j.alone():
    if not os.fork():
        j.append([dict(op_code=2)])                            # waits for its parent
        os._exit(0)
    time.sleep(.3); j.append([dict(op_code=1)])
os.wait()
""", '', place)
    finish(p)
    assert [o['op_code'] for o in Journal(place/'j').read()] == [1, 2]

def test_a_reader_waits_for_the_middle_of_what_a_server_shows_from_its_end(place, monkeypatch):
    j, reader = Journal(place/'j'), Journal(place/'j')
    j.append([dict(op_code=1)])
    whole = (place/'j').read_bytes()
    (place/'j').write_bytes(b'\0'*10 + whole[10:] + whole)
    reader._open()
    assert reader.read() == [] and not reader.skipped
    (place/'j').write_bytes(whole + whole)
    assert len(reader.read()) == 2 and not reader.skipped
    with open(place/'j', 'ab') as f: f.write(b'torn\n' + whole)
    assert reader.read() == []
    time.sleep(1.1)
    assert reader.read() == []
    monkeypatch.setattr('mlkit.tune.storage.WHOLE', 1.)
    assert len(reader.read()) == 1 and reader.skipped == 1

def test_a_lease_without_kernel_locks_tells_by_the_process(place):
    lease = Lease(place)
    assert 'here' in json.loads(lease.path.read_text()) and alive(lease.path)
    p = start("l = Lease(folder); say(l.path); time.sleep(60)", '', place)
    path = p.stdout.readline().strip()
    assert alive(path)
    p.kill()
    end = time.monotonic() + 5
    while alive(path) and time.monotonic() < end: time.sleep(.01)
    assert not alive(path)
    p.wait(); lease.release()
    assert not alive(lease.path)

@pytest.mark.parametrize('kind, fine', [(o, True) for o in ('ext4', 'xfs', 'overlay', 'zfs', '')] +
    [(o, False) for o in ('nfs', 'nfs4', 'cifs', 'fuse.sshfs', '9p', 'lustre', 'gpfs', 'something')])
def test_the_file_system_decides(tmp_path, monkeypatch, kind, fine):
    monkeypatch.delenv('MLKIT_LOCK')
    monkeypatch.setattr(locks, 'file_system', lambda folder: kind)
    monkeypatch.setattr(locks, '_judged', lambda: {})
    assert kernel_locks(tmp_path)[0] == fine
    assert fine or kind in kernel_locks(tmp_path)[1]

def test_a_lock_that_shuts_nobody_out_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv('MLKIT_LOCK')
    monkeypatch.setattr(locks, '_judged', lambda: {})
    monkeypatch.setattr(locks, 'fcntl', type('f', (), dict(LOCK_EX=2, LOCK_NB=4, flock=staticmethod(lambda *a: None))))
    assert kernel_locks(tmp_path) == (False, 'two handles got one lock')
