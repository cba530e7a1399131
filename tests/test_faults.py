"""What goes wrong below a run: full, read-only and vanished disks, clocks, unsafe file systems, SIGKILL. The training
goes on, and what was acknowledged stays."""
import gc, io, mmap, os, random, shutil, struct, subprocess, threading, time, warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import QUIET, only, until
from hypothesis import given, strategies as st

import mlkit
from mlkit.track.history import HistoryWriter, _header, _parse_header

def segments(run): return sorted((run.path/'history').glob('*.npy'))

def said(record): return [str(w.message) for w in record if 'mlkit' in str(w.message)]

def fill(folder, leave=0):
    "A file that takes all space of `folder` but about `leave` bytes; remove it and the space is back."
    ballast = folder/'ballast'
    with open(ballast, 'wb', buffering=0) as f:
        try:
            while f.write(b'x'*4096) == 4096: pass
        except OSError: pass
        if leave: f.truncate(max(0, f.tell() - leave))
    return ballast

# --- a full disk

@pytest.mark.parametrize('mapped', ['1', '0'], ids=['mapped', 'positional'])
@pytest.mark.parametrize('leave', [0, 4096, 8192, 40_000, 200_000])
def test_the_disk_fills_up_while_logging(small_disk, store, monkeypatch, leave, mapped):
    """Whenever the disk is full: no exception, one warning, a count of what was lost, and every row acknowledged
    before is there."""
    monkeypatch.setenv('MLKIT_MAP', mapped)
    disk = small_disk('1m')
    run = mlkit.init('p', store=disk/'store')
    run.log(a=0., b=0.)
    ballast = fill(disk, leave)
    good = 1
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        for i in range(1, 40_000):
            before = run.dropped
            run.log(a=float(i), b=-float(i))
            if run.dropped == before: good = i + 1
            else: break
        assert run.dropped > 0, 'the disk never got full'
        for _ in range(100): run.log(a=-1., b=1.)
        run.log({f'new{i}': 1. for i in range(50)})
        run.log(text='x'*100_000)
        run.config.late = 1
        run.summary['x'] = 'y'
        run.alert('full')
    assert len([s for s in said(w) if 'full' in s or 'space' in s]) == 1, said(w)
    a = run.history(['a', 'b'])
    assert a['a'].tolist()[:good] == [float(i) for i in range(good)] and (a['b'] == -a['a']).all()
    rows = len(a)
    ballast.unlink()
    recover(run)
    n = len(run.history(['a']))
    assert n > rows, 'it recovers when space is back'
    run.log(late='text')
    run.finish()
    r = only(store=disk/'store')
    assert r.status == 'finished' and len(r.history(['a'])) == n
    assert r.history(['a'])['a'].tolist()[:good] == [float(i) for i in range(good)]
    assert r.meta['dropped'] == run.dropped > 0 and r.config == dict(late=1)
    assert [e['value'] for e in r.events('value')][-1] == 'text'
    n = f'{run.dropped:,}'
    assert f'finished ({n} values dropped)' in repr(r) and f'{n} values dropped' in repr(run) and f'{n} values dropped' in r._repr_html_()
    assert f'finished, {n} dropped' in repr(mlkit.runs('p', disk/'store')) and len(mlkit.runs('p', disk/'store').where('dropped > 0')) == 1
    with mlkit.init('p', resume=run.id, store=disk/'store') as again: again.log(a=1.)
    assert only(store=disk/'store').dropped == run.dropped, 'a later session does not hide what the earlier one lost'
    for p in segments(run): assert (np.load(p)['_time'] > 0).all()

def test_what_a_killed_run_dropped_is_known(script, store):
    "The count is written down as soon as the disk has room again, not only at the end."
    script("""
        import mlkit, os
        run = mlkit.init('p')
        for i in range(3): run.log(loss=.5, odd=object())
        run._sync()
        os._exit(9)""")
    assert only().status == 'crashed' and only().dropped == 3 and '3 values dropped' in repr(only())

def recover(run):
    "Log until a row is accepted again."
    def accepted():
        before = run.dropped
        run.log(a=7., b=-7.)
        return run.dropped == before
    until(accepted, 20)

@pytest.mark.parametrize('leave', [0, 4096, 8192, 16384])
def test_init_on_a_full_disk(small_disk, store, leave):
    """`init`, `log` and `finish` on a disk that is full, or fills up within them, raise nothing and warn once; the
    list of runs stays readable."""
    disk = small_disk('256k')
    mlkit.init('p', name='before', store=disk/'store').finish()
    fill(disk, leave)
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        run = mlkit.init('p', name='during', config=dict(lr=.1), store=disk/'store')
        for i in range(2000): run.log(a=float(i))
        run.log(text='x'*100_000)
        assert run.config.lr == .1
        run.finish()
    assert len(said(w)) == 1, said(w)
    assert 'before' in [r.name for r in mlkit.runs('p', store=disk/'store')]

def test_finish_on_a_full_disk(small_disk, store):
    "A run that ends on a full disk keeps its rows, and does not say that it is running."
    disk = small_disk('1m')
    run = mlkit.init('p', store=disk/'store')
    for i in range(1000): run.log(a=float(i))
    fill(disk)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        run.finish()
    r = only(store=disk/'store')
    assert r.status == 'finished' and r.metric('a').value.tolist() == [float(i) for i in range(1000)]

@pytest.mark.parametrize('end', ['finish', 'raise'])
def test_the_end_on_a_disk_without_a_free_byte(small_disk, store, end):
    """Nothing is given back by closing, since nothing was logged: the status, the summary and the error are there
    all the same, as far as the room that was held for them goes, and no spare file stays."""
    disk = small_disk('1m')
    run = mlkit.init('p', store=disk/'store')
    fill(disk)
    run._chosen.update({f'metric {k}': float(k) for k in range(1000)})           # as many metrics would, in memory only
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        run.summary['metric 0'] = .5
        try:
            with run:
                if end == 'raise': raise ValueError('bad'*300)
        except ValueError: pass
    r = only(store=disk/'store')
    assert r.status == ('failed' if end == 'raise' else 'finished') and r.ended
    assert r.summary['metric 0'] == .5 and r.summary['metric 100'] == 100. and len(r.summary) < 1000
    assert end == 'finish' or r.meta['error']['type'] == 'ValueError'
    assert not list(run.path.glob('*spare*')) and not list(run.path.glob('*.tmp'))

def test_a_disk_too_full_for_init_keeps_no_half_of_a_run(small_disk, store):
    "Folders may fit where files don't: what `init` began is taken away again."
    disk = small_disk('256k')
    mlkit.init('p', name='before', store=disk/'store').finish()
    fill(disk)
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        run = mlkit.init('p', store=disk/'store')
        run.log(a=1.)
        run.finish()
    assert len(said(w)) == 1 and run.path is None, said(w)
    assert [p.name for p in (disk/'store'/'p').iterdir()] == [only(store=disk/'store').id]

def test_a_script_on_a_full_disk(script, small_disk):
    """With everything on that a run remembers, a script on a full disk runs to its end with its own exit status and
    output."""
    disk = small_disk('300k')
    r = script('''
        import mlkit, sys
        run = mlkit.init('p')
        for i in range(30_000):
            run.log(a=float(i), b=1., c=2.)
            if i % 100 == 0: print('line', i)
        print('the end')
        ''', MLKIT_STORE=disk/'store', **dict.fromkeys(QUIET, '1'))
    assert r.rc == 0 and r.out.splitlines()[-1] == 'the end' and len(r.out.splitlines()) == 301
    assert r.err.count('can\'t be written') == 1, r.err
    a = only(store=disk/'store').metric('a').value
    assert a[:100].tolist() == [float(i) for i in range(100)]

def test_two_writers_on_a_full_disk(script, small_disk):
    "When one process finds the disk full, a forked one does not crash on it either (no SIGBUS)."
    disk = small_disk('400k')
    r = script('''
        import mlkit, os
        run = mlkit.init('p')
        pids = []
        for k in range(3):
            if not (pid := os.fork()):
                for i in range(10_000): run.log(w=float(k), n=float(i))
                os._exit(0)
            pids.append(pid)
        print([os.waitpid(p, 0)[1] for p in pids])
        ''', ok=True, MLKIT_STORE=disk/'store')
    assert r.out.split('\n')[0] == '[0, 0, 0]'
    h = only(store=disk/'store').history()
    assert len(h) > 100
    for k in range(3):                                   # each has the rows that it was granted, and those are whole
        n = h[h['w'] == k]['n'].tolist()
        assert n == sorted(set(n)) and set(n) <= set(range(10_000))

# --- a store that can't be written, or vanishes

def test_a_read_only_store(script, small_disk):
    "On a read-only disk the training runs with one warning; the runs that are there can be read."
    disk = small_disk('1m')
    mlkit.init('p', name='before', store=disk/'store').finish()
    subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
    r = script('''
        import mlkit
        with mlkit.init('p', config=dict(lr=.1)) as run:
            for i in range(1000): run.log(a=float(i))
            run.log(text='x')
            run.config.lr = .2
            run.summary['s'] = 1
            run.save('script1.py')
        mlkit.init('p').log(a=1.)
        print('the end')
        ''', MLKIT_STORE=disk/'store')
    assert r.rc == 0 and 'the end' in r.out, r.err
    assert 1 <= r.err.count('UserWarning') <= 2, r.err                   # one for each of the two runs
    assert [x.name for x in mlkit.runs('p', store=disk/'store')] == ['before']
    assert 'before' in repr(mlkit.runs('p', store=disk/'store'))

def test_a_store_that_can_not_exist(store, tmp_path):
    "A store below a file is a warning, not an exception."
    (tmp_path/'file').write_text('')
    with pytest.warns(UserWarning, match="can't be written"): run = mlkit.init('p', store=tmp_path/'file'/'store')
    run.log(a=1.)
    run.finish()

@pytest.mark.parametrize('mapped', ['1', '0'], ids=['mapped', 'positional'])
@pytest.mark.parametrize('what', ['store', 'run', 'history'])
def test_deleted_while_running(store, monkeypatch, what, mapped):
    """When the store, the run's folder or its history is deleted under the run, training goes on to its end, and it is
    said once."""
    monkeypatch.setenv('MLKIT_MAP', mapped)
    run = mlkit.init('p')
    for i in range(10): run.log(a=float(i))
    shutil.rmtree(dict(store=store, run=run.path, history=run.path/'history')[what])
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter('always')
        for i in range(20_000): run.log(a=float(i))
        run.log(new=1.)
        run.log(text='x')
        run.config.lr = .1
        run.summary['s'] = 1
        len(run.history())
        run.finish()
    assert len(said(w)) == 1, said(w)
    b = mlkit.init('p', name='next')
    b.log(a=1.)
    b.finish()
    assert [r.status for r in mlkit.runs('p') if r.name == 'next'] == ['finished']

def test_run_json_destroyed(store):
    "A run whose run.json is empty, no JSON or no dict does not stop the others from being listed."
    for bad in ('', '{"id": 1', '[]', 'null', '{}', '\x00'*100):
        run = mlkit.init('p')
        run.finish()
        (run.path/'run.json').write_text(bad)
    with mlkit.init('p', name='good') as run: run.log(a=1.)
    assert 'good' in [r.name for r in mlkit.runs('p')] and 'good' in repr(mlkit.runs('p'))
    assert len(mlkit.runs('p').df) >= 1

V1 = b'\x93NUMPY\x01\x00\x76\x00'
TORN = dict(empty=b'', magic=b'\x93NUMPY', length=b'\x93NUMPY\x01\x00\xff\xff', zeros=bytes(4096), other=b'x'*5000,
    text=V1 + b'{' + b' '*117,
    no_dict=V1 + b'{' + b' '*116 + b'}\n',
    wrong_fields=V1 + b"{'descr': [('x', '<f8')], 'shape': (1,)}".ljust(117) + b'\n' + bytes(8))

@pytest.mark.parametrize('bad', TORN.values(), ids=TORN)
def test_a_torn_segment(store, bad):
    "A segment whose header is torn, as by a power failure, hides no row of the others."
    run = mlkit.init('p')
    run.log(a=1.)
    (run.path/'history'/'0-0-abcdef-0009.npy').write_bytes(bad)
    run.finish()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert only().history()['a'].tolist() == [1.] and only().summary['a'] == 1.
        assert run.name in repr(mlkit.runs('p'))
        again = mlkit.init('p', resume=run.id)
        again.log(a=2.)
        again.finish()
        assert only().history()['a'].tolist() == [1., 2.]

NAMES = st.lists(st.text(st.characters(exclude_categories=['Cs']), min_size=1), min_size=1, max_size=8, unique=True)

@given(NAMES.filter(lambda names: not {'_step', '_time'} & {*names}), st.booleans())
def test_any_name_survives_a_header(names, ours):
    "What `repr` makes of a metric's name in a header, ours or NumPy's, is read as the same name."
    fields = [('_step', '<i8'), *((k, '<f8') for k in names), ('_time', '<f8')]
    out = io.BytesIO(_header(fields, 3) if ours else b'')
    if not ours: np.lib.format.write_array(out, np.empty(3, fields), (3, 0))
    out.seek(0)
    assert _parse_header(out)[0] == fields

@given(st.data())
def test_no_damage_to_a_header_is_anything_but_a_value_error(data):
    "A header with any piece replaced is read, or refused with a ValueError."
    text = _header([('_step', '<i8'), ("a'b", '<f8'), ('_time', '<f8')], 3)
    i = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.binary(max_size=9) | st.sampled_from([b'\\', b"'", b'\\U00110000', b'(', b'open(1)']))
    with suppress(ValueError): _parse_header(io.BytesIO(text[:i] + junk + text[i + data.draw(st.integers(0, 9)):]))

def test_headers_are_read_in_threads(tmp_path):
    "Reading headers takes no turn through the parser of CPython 3.11, which threads confuse: it was a SystemError now and then."
    keys, errors = tuple(f'metric/{i}' for i in range(150)), []
    seg = HistoryWriter(tmp_path).segment(keys, 'd'*150)
    def read():
        for _ in range(50):
            try:
                with open(seg.path, 'rb') as f: _parse_header(f)
            except BaseException as e: errors.append(e)
    def yields(*_): time.sleep(0)                                    # the collector runs in the midst of parsing, and lets others go on
    threads, often = [threading.Thread(target=read) for _ in range(8)], gc.get_threshold()
    gc.callbacks.append(yields)
    gc.set_threshold(100)
    try:
        for t in threads: t.start()
        for t in threads: t.join()
    finally:
        gc.callbacks.remove(yields)
        gc.set_threshold(*often)
    assert not errors

def test_a_torn_event(store):
    "Half a line at the end of the events, as a crash leaves it, costs that line and not the next."
    run = mlkit.init('p')
    run.log(text='one')
    with open(run.path/'events.jsonl', 'ab') as f: f.write(b'\n{"kind":"value","key":"te')
    run.log(text='two')
    assert [e['value'] for e in run.events('value')] == ['one', 'two']

# --- clocks

def test_the_clock_goes_backwards(script):
    """Rows stay in the order written, readable, with their steps, when the clock jumps back an hour, forth a day, and
    stands still."""
    script('''
        import time
        real, jump = time.time, [0.]
        time.time = lambda: frozen[0] if frozen else real() + jump[0]
        frozen = []
        import mlkit
        run = mlkit.init('p')
        for j in (0., -3600., 86400., -7200.):
            jump[0] = j
            for i in range(100): run.log(a=j, n=float(i))
            run.log(text=str(j))
            run.log({f'other{j}': 1.})
        frozen.append(real())
        for i in range(100): run.log(a=1., n=float(i))
        frozen.clear()
        jump[0] = -1e6
        assert run.overhead['share'] >= 0
        ''', ok=True)
    r = only()
    h = r.history()
    want = [v for j in (0., -3600., 86400., -7200., 1.) for v in [j]*100]
    assert r.status == 'finished' and r.metric('a').value.tolist() == want
    assert r.metric('n').value.tolist() == [float(i) for i in range(100)]*5
    steps = h['_step'].tolist()
    assert steps == sorted(steps) and len(h) == 504
    assert [float(e['value']) for e in r.events('value')] == [0., -3600., 86400., -7200.]
    assert r.summary['a'] == 1. and r.duration >= 0

def test_resume_after_the_clock_went_back(script):
    "A run resumed with an earlier clock goes on after its last step, and its last value is the last written."
    head = "import time\nreal = time.time\ntime.time = lambda: real() + {}\nimport mlkit\n"
    script(head.format(5000) + "run = mlkit.init('p', id='r')\nfor i in range(5): run.log(a=float(i))", ok=True)
    script(head.format(0) + "run = mlkit.init('p', id='r', resume='must')\nrun.log(a=5.)\nrun.log(a=6.)", ok=True)
    assert only().history()['_step'].tolist() == list(range(7)) and only().summary['a'] == 6.
    assert only().metric('a').value.tolist() == [float(i) for i in range(7)]

# --- a file system where a map is not safe

PROGRAM = '''
    import mlkit, sys, time
    run = mlkit.init('p')
    for i in range(5000): run.log(a=float(i), b=.5)
    for i in range(10): run.log({f'k{i}': i})
    run.log({f'wide{i}': float(i) for i in range(2000)})
    run.log(a=2**60 + 1)
    print('go', flush=True)
    time.sleep(float(sys.argv[1]))
    '''

def test_positional_writes_give_the_same_files(script, tmp_path):
    "Without a map the files are the same, byte for byte, but for the times."
    files = []
    for how in '10':
        script(PROGRAM, 0, ok=True, MLKIT_MAP=how, MLKIT_STORE=tmp_path/how)
        (folder,) = (tmp_path/how).glob('p/*/history')
        files.append([])
        for p in sorted(folder.glob('*.npy'), key=lambda p: p.name.split('-')[-1]):
            a = np.load(p)
            assert (a['_time'] > 0).all()
            a['_time'] = 0
            files[-1].append((p.read_bytes()[:-a.nbytes], a.tobytes()))
    assert len(files[0]) >= 12 and files[0] == files[1]

@pytest.mark.parametrize('how', '10')
def test_live_files_are_numpy_files(script, how):
    """While the run lives, `numpy.load` maps each file, and the records without a time are those not yet written;
    nothing is mapped that must not be."""
    p = script.start(PROGRAM, 60, MLKIT_MAP=how)
    p.stdout.readline()
    maps = Path(f'/proc/{p.pid}/maps')
    assert not maps.exists() or ('.npy' in maps.read_text()) == (how == '1')
    (folder,) = script.store.glob('p/*/history')
    rows = [int((np.load(f, mmap_mode='r')['_time'] != 0).sum()) for f in folder.glob('*.npy')]
    assert sum(rows) == 5012 and max(rows) == 5000
    p.kill()
    p.wait()
    assert [int((np.load(f, mmap_mode='r')['_time'] != 0).sum()) for f in folder.glob('*.npy')] == rows

def test_a_device_number_that_is_given_again(tmp_path):
    "A tmpfs is unmounted and a ramfs gets its device number: what was learned of the first one isn't believed."
    from mlkit.core.files import mappable
    at = tmp_path/'disk'
    at.mkdir()
    for kind, sound in (('tmpfs', True), ('ramfs', False))*3:
        r = subprocess.run(['mount', '-t', kind, f'mlkit-test-{os.getpid()}', str(at)], capture_output=True, check=False)
        if r.returncode: pytest.skip('nothing can be mounted here')
        try: assert mappable(at) == sound
        finally: subprocess.run(['umount', '-l', str(at)], check=False)

def test_an_unknown_file_system_is_not_mapped(small_disk, store):
    "ramfs is not on the list of those known to be sound: it is written by position without being asked."
    from mlkit.core.files import mappable
    disk = small_disk('1m')
    inner = disk/'ram'
    inner.mkdir()
    r = subprocess.run(['mount', '-t', 'ramfs', 'ramfs', str(inner)], capture_output=True)
    if r.returncode: pytest.skip('no ramfs can be mounted here')
    try:
        assert mappable(disk) and not mappable(inner)
        run = mlkit.init('p', store=inner/'store')
        for i in range(1000): run.log(a=float(i))
        assert str(run.path) not in Path('/proc/self/maps').read_text()
        run.finish()
        assert len(only(store=inner/'store').history()) == 1000
    finally: subprocess.run(['umount', '-l', str(inner)], check=False)

# --- SIGKILL

ACKNOWLEDGED = '''
    import mmap, sys
    import mlkit
    with open(sys.argv[1], 'r+b') as f: told = mmap.mmap(f.fileno(), 8)
    run, i = mlkit.init('p'), 0
    while True:
        run.log(a=float(i), b=-float(i), c=.5)
        i += 1
        told[:] = i.to_bytes(8, 'little')       # one store: `pack_into` writes zeros first, and a kill may find them
        if i % 5000 == 0: run.log({'text': str(i)}); run.log({f'val{i}': float(i)})
    '''

@pytest.mark.parametrize('mapped', '10')
def test_sigkill_loses_nothing(script, tmp_path, mapped):
    """10 programs that log as fast as they can are killed at a random moment: every call that had returned is there,
    whole and in order."""
    rnd = random.Random(int(mapped))
    for k in range(10):
        told = tmp_path/f'told{k}'
        told.write_bytes(bytes(8))
        p = script.start(ACKNOWLEDGED, told, MLKIT_MAP=mapped, MLKIT_STORE=tmp_path/f's{mapped}{k}')
        with open(told, 'r+b') as f, mmap.mmap(f.fileno(), 8) as m:
            until(lambda m=m, p=p: struct.unpack('<q', m[:])[0] or p.poll() is not None)
            assert p.poll() is None, script.wait(p)
            time.sleep(rnd.random()*.15)
            p.kill()
            p.wait()
            n = struct.unpack('<q', m[:])[0]
        r = only(store=tmp_path/f's{mapped}{k}')
        assert r.status == 'crashed'
        h = r.history(['a', 'b', 'c'])
        assert n <= len(h) <= n + 1, f'{n - len(h)} acknowledged calls lost'
        assert np.array_equal(h['a'], np.arange(len(h))) and (h['b'] == -h['a']).all() and (h['c'] == .5).all()
        assert len(r.events('value')) >= (n - 1)//5000
        assert r.ended == pytest.approx(r.history()['_time'].max(), abs=1e-3)
