"Many writers at once: threads, forked and spawned processes, ranks of one job, signal handlers; and very many names."
import os, threading
import numpy as np
import pytest
from conftest import only, until

import mlkit

def segments(run): return sorted((run.path/'history').glob('*.npy'))

# --- threads

def at_once(n, fn):
    "Run `fn(0) .. fn(n-1)` in threads that start together, and raise what one of them raised."
    barrier, errors = threading.Barrier(n), []
    def go(i):
        try:
            barrier.wait()
            fn(i)
        except BaseException as e: errors.append(e)
    threads = [threading.Thread(target=go, args=(i,)) for i in range(n)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not errors, errors

def test_threads_with_the_same_names(store):
    """8 threads x 5,000 calls: every row is there once, with a step of its own and its own values, while the file
    grows under them."""
    run = mlkit.init('p')
    def work(i):
        for j in range(5000): run.log(thread=float(i), n=float(j))
    at_once(8, work)
    run.finish()
    h = only().history()
    assert len(h) == 40_000 and sorted(h['_step']) == list(range(40_000))
    for i in range(8): assert h[h['thread'] == i]['n'].tolist() == list(range(5000))

def test_threads_that_begin_new_names_at_once(store):
    "Names that are new to all threads at the same moment get one file and lose no row."
    run = mlkit.init('p')
    def work(i):
        for j in range(20):
            run.log({f'k{j}': float(i)})
            run.log({f'own{i}': float(j)})
    at_once(8, work)
    run.finish()
    h = only().history()
    assert len(h) == 320
    for j in range(20): assert sorted(h[f'k{j}'].dropna()) == list(range(8))
    for i in range(8): assert h[f'own{i}'].dropna().tolist() == list(range(20))

def test_threads_that_log_text(store):
    "Events of several threads don't tear each other's lines."
    run = mlkit.init('p')
    at_once(8, lambda i: [run.log(text=f'{i}-{j}' + 'x'*3000) for j in range(20)])
    texts = sorted(e['value'].rstrip('x') for e in run.events('value'))
    assert texts == sorted(f'{i}-{j}' for i in range(8) for j in range(20))

def test_reading_while_writing(store):
    "A reader in another thread only ever sees whole rows, and never fewer than before."
    run, stop, seen = mlkit.init('p'), threading.Event(), []
    def read(_):
        while not stop.is_set():
            h = mlkit.Store().get(run.id).history()
            assert len(h) == 0 or (h['a'] == h['b']).all() and (h['_time'] > 0).all()
            seen.append(len(h))
    def write(_):
        for i in range(20_000): run.log(a=float(i), b=float(i))
        stop.set()
    at_once(2, lambda i: (read, write)[i](i))
    assert seen == sorted(seen) and len(run.history()) == 20_000

@pytest.mark.parametrize('mapped', '10')
def test_finish_while_threads_log(script, mapped):
    """`finish` in the middle of it: every call wrote its row, raised, or was counted; the process lives, and no file
    opened afterwards is touched."""
    script('''
        import mlkit, os, threading, warnings
        warnings.simplefilter('ignore')
        def work(run, i):
            try:
                while True:
                    run.log(a=float(i))
                    done[i] += 1
            except RuntimeError as e: assert 'init(resume=' in str(e)
        for k in range(15):
            done, run = [0]*4, mlkit.init('p')
            threads = [threading.Thread(target=work, args=(run, i)) for i in range(4)]
            for t in threads: t.start()
            while sum(done) < 300 + 300*k: pass
            run.finish()
            files = [os.open(f'mine{j}', os.O_RDWR | os.O_CREAT) for j in range(40)]
            for t in threads: t.join()
            assert all(os.fstat(f).st_size == 0 for f in files)
            for f in files: os.close(f)
            rows = len(mlkit.Store().get(run.id).history())
            assert rows + run.dropped == sum(done), (rows, run.dropped, done)
        ''', ok=True, MLKIT_MAP=mapped)
    found = list(mlkit.runs('p'))
    assert {r.status for r in found} == {'finished'}
    gaps = [int((np.load(p)['_time'] == 0).sum()) for r in found for p in segments(r)]
    assert max(gaps) <= (0 if mapped == '1' else 4), 'a positional write that was cut off may leave a gap'

def test_a_daemon_thread_at_the_end_of_the_program(script):
    "A thread that logs while the interpreter goes down neither crashes it nor spoils the run."
    r = script('''
        import mlkit, threading, time
        run = mlkit.init('p')
        def work():
            while True: run.log(a=1.)
        threading.Thread(target=work, daemon=True).start()
        time.sleep(.2)
        ''')
    assert r.rc == 0 and only().status == 'finished' and (only().metric('a').value == 1.).all()

# --- fork

def test_fork(script):
    "A child of `os.fork` writes rows of its own, may end in any way, and does not end its parent's run."
    r = script('''
        import mlkit, os, sys
        run = mlkit.init('p')
        for i in range(100): run.log(who=0., n=float(i))
        for end in ('os._exit(0)', 'sys.exit(0)', 'sys.exit(1)', '1/0', 'run.finish()', 'mlkit.finish()'):
            if not (pid := os.fork()):
                for i in range(100): run.log(who=float(os.getpid()), n=float(i))
                run.log(text='from the child')
                exec(end)
                os._exit(0)
            os.waitpid(pid, 0)
            assert mlkit.runs('p')[0].status == 'running', end
        for i in range(100): run.log(who=0., n=100. + i)
        print('end')
        ''', ok=True)
    h = only().history()
    assert r.out.count('end\n') == 1 and only().status == 'finished' and len(h) == 800
    assert sorted(h[h['who'] == 0]['n']) == list(range(200)) and len(only().events('value')) == 6
    for who in set(h['who']) - {0}: assert h[h['who'] == who]['n'].tolist() == list(range(100))

def test_fork_in_the_middle_of_writing(script):
    "A fork while other threads log leaves the child able to log: it does not wait for a lock that nobody holds."
    script('''
        import mlkit, os, threading
        run, stop = mlkit.init('p'), threading.Event()
        def work(i):
            j = 0
            while not stop.is_set():
                run.log({f't{i}': float(j)})
                run.log({f't{i}/text': 'x'})
                j += 1
        for i in range(3): threading.Thread(target=work, args=(i,), daemon=True).start()
        pids = []
        for i in range(20):
            if not (pid := os.fork()):
                run.log({'child': float(i)})
                run.log({f'child/{i}': 'text'})
                os._exit(0)
            pids.append(pid)
        for pid in pids: assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        ''', ok=True)
    assert sorted(only().metric('child').value) == list(range(20))

def test_multiprocessing_by_fork(script):
    "Workers of a forked pool, and their children, all log to one run; 8 at once lose nothing."
    script('''
        import mlkit, multiprocessing as mp
        run = mlkit.init('p')
        def work(i):
            for j in range(500): run.log(w=float(i), n=float(j))
        if __name__ == '__main__':
            ps = [mp.get_context('fork').Process(target=work, args=(i,)) for i in range(8)]
            for p in ps: p.start()
            for p in ps: p.join()
            assert [p.exitcode for p in ps] == [0]*8
        ''', ok=True)
    h = only().history()
    assert only().status == 'finished' and len(h) == 4000
    for i in range(8): assert h[h['w'] == i]['n'].tolist() == list(range(500))

def test_a_forked_child_has_a_run_of_its_own_if_it_asks(script):
    "A forked child that calls `init` makes a run; both end well."
    script('''
        import mlkit, os
        run = mlkit.init('p', name='parent')
        if not (pid := os.fork()):
            with mlkit.init('p', name='child') as run: run.log(a=1.)
            os._exit(0)
        os.waitpid(pid, 0)
        run.log(a=2.)
        ''', ok=True)
    ended = {r.name: (r.status, r.metric('a').value.tolist()) for r in mlkit.runs('p')}
    assert ended == dict(parent=('finished', [2.]), child=('finished', [1.]))

def test_the_parent_dies_first(script):
    "A child that outlives its parent can still log, and does not make the run look alive: its owner is gone."
    p = script.start('''
        import mlkit, os, time
        run, parent = mlkit.init('p'), os.getpid()
        run.log(a=0.)
        if not os.fork():
            os.close(1); os.close(2)
            while os.getppid() == parent: time.sleep(.01)
            for i in range(10): run.log(a=1.)
            open('logged', 'w').close()
            while not os.path.exists('go'): time.sleep(.01)
            os._exit(0)
        os._exit(9)
        ''')
    try:
        assert script.wait(p).rc == 9
        until(lambda: (script.folder/'logged').exists())
        assert only().status == 'crashed' and sorted(only().metric('a').value) == [0.] + [1.]*10
    finally: (script.folder/'go').touch()

# --- spawn

def test_spawn(script):
    """A run handed to a spawned process is the same run there: its rows, text and config are in it, and only the owner
    ends it."""
    script('''
        import mlkit, multiprocessing as mp
        def work(run, i):
            assert run.config.lr == .1
            for j in range(100): run.log(w=float(i), n=float(j))
            run.log(text=f'from {i}')
        if __name__ == '__main__':
            run = mlkit.init('p', config=dict(lr=.1))
            ps = [mp.get_context('spawn').Process(target=work, args=(run, i)) for i in range(2)]
            for p in ps: p.start()
            for p in ps: p.join()
            assert [p.exitcode for p in ps] == [0]*2 and mlkit.runs('p')[0].status == 'running'
            run.log(w=9., n=0.)
        ''', ok=True)
    h = only().history()
    assert only().status == 'finished' and len(h) == 201 and len(only().events('value')) == 2
    for i in range(2): assert h[h['w'] == i]['n'].tolist() == list(range(100))

def test_a_process_pool(script):
    "A run passed to the tasks of a process pool works in every worker, over and over."
    script('''
        import mlkit
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        def work(run, i): run.log(task=float(i))
        if __name__ == '__main__':
            run = mlkit.init('p')
            with ProcessPoolExecutor(2, mp_context=get_context('spawn')) as pool:
                list(pool.map(work, [run]*30, range(30)))
        ''', ok=True)
    assert sorted(only().metric('task').value) == list(range(30))

@pytest.mark.parametrize('how', ['spawn', 'forkserver', 'fork'])
def test_a_child_logs_without_being_given_the_run(script, how):
    "`mlkit.log` in a child, and in a child of that, writes to the parent's run; the end stays with the parent."
    r = script(f"""
        import mlkit, multiprocessing as mp, os, subprocess, sys
        code = "import mlkit; mlkit.log(c=3., note='hi'); mlkit.finish(); assert mlkit.current() is None"
        def work(i):
            mlkit.log(w=float(i))
            mlkit.alert('from a child')
            subprocess.run([sys.executable, '-c', code], check=True)
        if __name__ == '__main__':
            run = mlkit.init('p')
            ps = [mp.get_context('{how}').Process(target=work, args=(i,)) for i in range(2)]
            for p in ps: p.start()
            for p in ps: p.join()
            assert [p.exitcode for p in ps] == [0]*2 and mlkit.runs('p')[0].status == 'running'
            run.finish()
            assert 'MLKIT_PARENT_RUN' not in os.environ
            r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
            assert 'There is no run yet' in r.stderr
        """, ok=True)
    h = only().history()
    assert sorted(h['w'].dropna()) == [0., 1.] and h['c'].dropna().tolist() == [3., 3.], r.err
    assert only().status == 'finished' and len(only().events('alert')) == 2 == len(only().events('value'))

def test_a_child_program_with_init_has_a_run_of_its_own(script):
    "Wherever it was started; its children log to its run, and after its end to none."
    script("""
        import mlkit, os, subprocess, sys
        log = "import mlkit; mlkit.log(who=1.)"
        inner = f'''
        import mlkit, os, subprocess, sys
        outside = os.environ['MLKIT_PARENT_RUN']
        def log(): subprocess.run([sys.executable, '-c', {log!r}], check=True)
        with mlkit.init('q') as run: log()
        assert os.environ['MLKIT_PARENT_RUN'] == outside
        try: mlkit.log(who=2.)
        except RuntimeError as e: assert 'finished' in str(e)
        else: sys.exit('logged')
        '''
        import textwrap
        with mlkit.init('p') as run: subprocess.run([sys.executable, '-c', textwrap.dedent(inner)], check=True)
        """, ok=True)
    assert len(only('p').history()) == 0 and only('q').history()['who'].tolist() == [1.]

def test_a_child_of_a_disabled_run(script):
    "Where the parent keeps nothing, a child's `log` keeps nothing either, and raises nothing."
    script("""
        import mlkit, subprocess, sys
        with mlkit.init('p', mode='disabled'): subprocess.run([sys.executable, '-c', 'import mlkit; mlkit.log(a=1.)'], check=True)
        """, ok=True)
    assert not mlkit.runs('p')

def test_a_child_that_outlives_the_run(script):
    "A child that logs first when the parent's run is over is told so."
    r = script("""
        import mlkit, os, subprocess, sys
        run = mlkit.init('p')
        env = dict(os.environ)
        run.finish()
        r = subprocess.run([sys.executable, '-c', 'import mlkit; mlkit.log(a=1.)'], env=env, capture_output=True, text=True)
        print(r.stderr)
        """, ok=True)
    assert 'parent process has ended' in r.out and 'mlkit.init' in r.out

# --- ranks

RANK = '''
    import mlkit, os, sys, time
    rank, delay, me = int(os.environ['RANK']), float(sys.argv[1]), sys.argv[2]
    time.sleep(delay)
    run = mlkit.init('p', config=dict(lr=.1))
    for i in range(50): run.log({'loss': float(rank), 'n': float(i)})
    open(f'{me}-{rank}', 'w').close()
    others = [f'{me}-{r}' for r in (*range(int(os.environ['WORLD_SIZE'])), 'go')]
    while rank == 0 and not all(map(os.path.exists, others)): time.sleep(.01)
    print(run.id)
    '''

def launch(script, port, world=2, delays=(0, 0, 0), me='job', hold=False):
    """Start the ranks of one job, as torchrun does; rank 0 ends when all are done, and with `hold` when the file `me-
    go` is there."""
    if not hold: (script.folder/f'{me}-go').touch()
    env = dict(WORLD_SIZE=world, MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    return [script.start(RANK, delays[i], me, RANK=i, LOCAL_RANK=i, **env) for i in range(world)]

def ids(script, procs): return [script.wait(p).out.split()[-1] for p in procs]

@pytest.mark.parametrize('delays', [(0, 0, 0), (.7, 0, 0), (0, .5, .7)],
    ids=['together', 'rank 0 late', 'rank 0 early'])
def test_ranks_share_rank_0s_run(script, delays):
    "Processes with RANK set are one run, whoever starts first, with each row's rank; rank 0 owns it."
    ps = launch(script, 29500, 3, delays, hold=True)
    others = [script.wait(p) for p in ps[1:]]
    assert only().status == 'running', 'the other ranks do not end the run'
    (script.folder/'job-go').touch()
    rs = [script.wait(ps[0]), *others]
    assert [r.rc for r in rs] == [0]*3, [r.err for r in rs]
    h = only().history()
    assert only().status == 'finished' and len(h) == 150 and (h['_rank'] == h['loss']).all()
    assert only().history(rank=1)['n'].tolist() == list(range(50))
    assert {r.out.split()[-1] for r in rs} == {only().id}

LATE = '''
    import mlkit, os, sys, time
    rank = int(os.environ['RANK'])
    if rank:
        while not os.path.exists('rank-0-is-done'): time.sleep(.01)
    for fold in range(2):
        run = mlkit.init('p')
        run.log({'loss': float(rank), 'fold': fold})
        mlkit.log(text=f'rank {rank}')
        print(run.id)
        run.finish()
    if rank == 0: open('rank-0-is-done', 'w').close()
    '''

def test_a_rank_that_comes_when_the_run_has_ended(script):
    """A slow rank of the same launch joins the ended runs, each in its turn, at once (it is given an hour, the test
    isn't); a rank of the next launch does not."""
    env = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=29505, MLKIT_JOIN_TIMEOUT=3600)
    ps = [script.start(LATE, RANK=i, **env) for i in range(2)]
    a, b = (script.wait(p, 60).out.split() for p in ps)
    assert a == b and len(set(a)) == 2
    for fold, id in enumerate(a):
        r = mlkit.runs('p')[id]
        assert r.status == 'finished' and r.history()['_rank'].tolist() == [0, 1]
        assert set(r.history()['fold']) == {fold} and len(r.events('value')) == 2
    r = script(LATE, RANK=1, **{**env, 'MLKIT_JOIN_TIMEOUT': 1})
    assert 'no run of rank 0' in r.err and not set(r.out.split()) & set(a)

def test_jobs_do_not_mix(script):
    "Two jobs at once are two runs, and a job that is started again does not join the run of the first time."
    jobs = [launch(script, 29501, me='a'), launch(script, 29502, me='b')]
    (a, b), (c, d) = (ids(script, ps) for ps in jobs)
    e, f = ids(script, launch(script, 29501, delays=(.5, 0), me='again'))
    assert (a, c, e) == (b, d, f) and len({a, c, e}) == 3
    assert all(len(r.history()) == 100 for r in mlkit.runs('p'))

def test_a_killed_job_is_not_joined(script):
    "After rank 0 was killed, the next start with the same address makes a new run."
    ps = launch(script, 29503, hold=True)
    script.wait(ps[1])
    ps[0].kill()
    ps[0].wait()
    a, b = ids(script, launch(script, 29503, delays=(.5, 0), me='again'))
    assert a == b and sorted(r.status for r in mlkit.runs('p')) == ['crashed', 'finished']

def test_a_rank_alone(script):
    "A process with RANK=1 whose rank 0 never comes does not wait for ever: it trains on."
    r = script(RANK, 0, 'me', RANK=1, WORLD_SIZE=2, MASTER_ADDR='127.0.0.1', MASTER_PORT=29504, MLKIT_JOIN_TIMEOUT=1)
    assert r.rc == 0, r.err

# --- signals

def test_log_in_a_signal_handler(script):
    """A handler that interrupts `log` may log itself, known names and new ones: no row is lost and nothing waits for
    itself."""
    r = script('''
        import itertools, mlkit, signal, time
        run, inside, n = mlkit.init('p'), itertools.count(), 0
        def handler(*_):
            i = next(inside)
            run.log(a=-1.)
            if i % 10 == 0: run.log({f'new{i//10 % 20}': 1.})
            if i % 50 == 0: run.log(text='from the handler')
            signal.setitimer(signal.ITIMER_REAL, .001)                  # the next one, when this one is through
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, .001)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            run.log(a=float(n))
            if n % 1000 == 0: run.log({f'main{n//1000 % 20}': 1., 'text': 'from the loop'})
            n += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(n, next(inside))
        ''', ok=True)
    n, inside = map(int, r.out.split())
    a = only().metric('a')
    assert len(a.value) == n + inside and np.array_equal(a.value[a.value >= 0], np.arange(n)) and inside > 10
    assert len(set(a.step.tolist())) == n + inside, 'each call has a step of its own'

# --- very many names

def test_5000_different_sets_of_names(store):
    "5,000 calls with a name of their own each: all are there, with few files, and few of them open."
    run = mlkit.init('p')
    for i in range(5000): run.log({f'k{i}': float(i)})
    n_open = len(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else 0
    assert n_open < 300 and len(segments(run)) <= 100
    run.finish()
    h = only().history()
    assert len(h) == 5000 and h['_step'].tolist() == list(range(5000))
    cols = [f'k{i}' for i in range(5000)]
    assert np.array_equal(np.diag(h[cols].to_numpy()), np.arange(5000.)) and len(only().summary) == 5000

def test_rows_beyond_the_limit_of_sets_keep_their_types(store):
    "What goes the slower way keeps NaN, infinities and large integers, and its place in the order."
    run = mlkit.init('p')
    for i in range(100): run.log({f'k{i}': 0.})
    run.log(dict(late=float('nan'), big=2**60 + 1))
    run.log(dict(late=float('inf'), big=1))
    run.log(k0=7.)
    h = run.history()
    assert h['_step'].tolist() == list(range(103)) and np.isnan(h['late'].iloc[100]) and h['late'].iloc[101] == np.inf
    assert int(h['big'].iloc[100]) == 2**60 + 1 and h['k0'].iloc[102] == 7.

def test_2000_names_in_one_call(store):
    "A row of 2,000 metrics, as a table of per-layer norms gives, comes back whole, with names of any length."
    run = mlkit.init('p')
    names = [f'layer{i}/a rather long name of a norm/{"x"*(i % 40)}' for i in range(2000)]
    rows = [{k: float(i + j) for i,k in enumerate(names)} for j in range(3)]
    for row in rows: run.log(row)
    h = run.history()
    assert [h[k].tolist() for k in rows[0]] == [[r[k] for r in rows] for k in rows[0]]
    run.finish()
    for p in segments(run): assert len(np.load(p, mmap_mode='r')) == 3
    assert len(only().summary) == 2000
    assert only().metric(names[7]).value.tolist() == [7., 8., 9.]

# --- one store

def test_8_processes_in_one_store(script):
    "8 programs that make the same store and project at the same moment: 8 runs with ids of their own, nothing lost."
    code = '''
        import mlkit, os, sys, time
        while not os.path.exists(sys.argv[1]): time.sleep(.001)
        run = mlkit.init('p')
        for i in range(2000): run.log(a=float(i))
        '''
    ps = [script.start(code, script.folder/'go') for _ in range(8)]
    (script.folder/'go').touch()
    rs = [script.wait(p) for p in ps]
    assert [(r.rc, r.err) for r in rs] == [(0, '')]*8
    found = list(mlkit.runs('p'))
    assert len({r.id for r in found}) == 8 and {r.status for r in found} == {'finished'}
    for r in found: assert r.metric('a').value.tolist() == list(range(2000))
