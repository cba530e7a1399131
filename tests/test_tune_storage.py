"A journal outlives the processes that write it: killed inside the lock, inside a write, and all starting at once."
import os, signal, subprocess, sys, time
from pathlib import Path

import pytest

from mlkit.tune.storage import Journal, Lease, alive

ENV = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH')])))

def start(code:str, *args:object)->subprocess.Popen:
    return subprocess.Popen([sys.executable, '-c', code, *map(str, args)], env=ENV, stdout=subprocess.PIPE, text=True)

def test_a_writer_killed_inside_the_lock_stalls_nobody(tmp_path):
    p = start("import sys, time\nfrom mlkit.tune.storage import Journal\nj = Journal(sys.argv[1])\n"
        "with j.alone(): print('in', flush=True); time.sleep(60)", tmp_path/'j')
    assert p.stdout.readline() == 'in\n'
    p.kill()
    Journal(tmp_path/'j').append([dict(op_code=1)])             # would wait for a minute, or for ever
    assert p.wait() == -signal.SIGKILL
    assert Journal(tmp_path/'j').read() == [dict(op_code=1)]

@pytest.mark.parametrize('cut', [1, 10, 40])
def test_a_write_that_was_cut_off_costs_only_itself(tmp_path, cut):
    j = Journal(tmp_path/'j')
    j.append([dict(op_code=1, text='x'*60)])
    whole = (tmp_path/'j').read_bytes()
    with open(tmp_path/'j', 'ab') as f: f.write(whole[:cut])
    j.append([dict(op_code=2)])
    again = Journal(tmp_path/'j')
    assert [o['op_code'] for o in again.read()] == [1, 2] and again.skipped == 1

def test_a_record_without_its_newline_counts_once_somebody_writes_behind_it(tmp_path):
    (tmp_path/'j').write_bytes(b'{"op_code":1}')
    j = Journal(tmp_path/'j')
    assert j.read() == []
    j.append([dict(op_code=2)])
    assert [o['op_code'] for o in j.read()] == [1, 2]

def test_foreign_lines_are_left_out_and_counted(tmp_path):
    (tmp_path/'j').write_bytes(b'\n\xff\xfe\n[1]\n{"a":1}\n{"op_code":4}\n')
    j = Journal(tmp_path/'j')
    assert j.read() == [dict(op_code=4)] and j.skipped == 3

WRITER = """
import sys
from mlkit.tune.storage import Journal
j = Journal(sys.argv[1])
for i in range(int(sys.argv[2])):
    j.append([dict(op_code=1, by=sys.argv[3], i=i), dict(op_code=2, by=sys.argv[3], i=i)], sync=False)
    print(i, flush=True)
"""

def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path):
    for n in range(6):
        p = start(WRITER, tmp_path/'j', 100_000, n)
        said = [p.stdout.readline() for _ in range(20 + 13*n)]
        p.kill()
        said += p.stdout.readlines()
        p.wait()
        last = max(int(o) for o in said if o.endswith('\n'))
        got = [o['i'] for o in Journal(tmp_path/'j').read() if o['by'] == str(n)]
        assert sorted(set(got)) == list(range(max(got) + 1)) and max(got) >= last

def test_the_records_of_one_append_stay_together(tmp_path):
    ps = [start(WRITER, tmp_path/'j', 50, n) for n in range(4)]
    for p in ps: p.communicate()
    got = Journal(tmp_path/'j').read()
    assert len(got) == 400
    assert all(a['by'] == b['by'] and a['i'] == b['i'] for a, b in zip(got[::2], got[1::2]))

def test_reading_goes_on_where_it_ended(tmp_path, monkeypatch):
    j, other = Journal(tmp_path/'j'), Journal(tmp_path/'j')
    j.append([dict(op_code=1)]*1000)
    assert len(other.read()) == 1000
    sizes, pread = [], os.pread
    monkeypatch.setattr(os, 'pread', lambda fd, n, at: (sizes.append(n), pread(fd, n, at))[1])
    j.append([dict(op_code=2)])
    assert other.read() == [dict(op_code=2)] and max(sizes) < 100

def test_a_forked_child_keeps_no_lock_and_no_lease(tmp_path):
    p = start("""
import os, sys, time
from mlkit.tune.storage import Journal, Lease
j, lease = Journal(sys.argv[1] + '/j'), Lease(sys.argv[1])
with j.alone():
    if not os.fork(): time.sleep(30); os._exit(0)
    print(lease.path, flush=True)
    os.kill(os.getpid(), 9)
""", tmp_path)
    path = p.stdout.readline().strip()
    p.wait()
    Journal(tmp_path/'j').append([dict(op_code=1)])
    assert not alive(path)

def test_a_lease_dies_with_its_process(tmp_path):
    p = start("import sys, time\nfrom mlkit.tune.storage import Lease\nl = Lease(sys.argv[1])\nprint(l.path, flush=True); time.sleep(60)",
        tmp_path)
    path = p.stdout.readline().strip()
    assert alive(path)
    p.kill(); p.wait()
    end = time.monotonic() + 5
    while alive(path) and time.monotonic() < end: time.sleep(.01)
    assert not alive(path)

def test_a_full_disk_leaves_the_journal_whole(tmp_path, monkeypatch):
    j = Journal(tmp_path/'j')
    j.append([dict(op_code=1)])
    write = os.write
    monkeypatch.setattr(os, 'write', lambda fd, data: write(fd, data[:5]))
    with pytest.raises(OSError, match='5 of'): j.append([dict(op_code=2)])
    monkeypatch.undo()
    j.append([dict(op_code=3)])
    again = Journal(tmp_path/'j')
    assert [o['op_code'] for o in again.read()] == [1, 3] and not again.skipped

def test_releasing_a_lease_twice_is_fine(tmp_path):
    lease = Lease(tmp_path)
    lease.release(); lease.release()
    assert not alive(lease.path)
