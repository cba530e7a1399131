"How a run begins and ends: every way out of a script, a `with` block or a notebook leaves the truth behind."
import argparse, dataclasses, json, re, signal, time
from pathlib import Path

import pytest
from conftest import only, until

import mlkit

# --- the ways out of a script

def test_the_end_of_a_script_finishes_the_run(script):
    "A script that comes to its end needs no `finish`; the status, the times, the rows and the summary are there."
    script("import mlkit\nrun = mlkit.init('p')\nfor i in range(100): run.log(a=i)", ok=True)
    r = only()
    assert r.status == 'finished' and r.meta['rows'] == 100 and r.summary['a'] == 99
    assert r.started <= r.ended and r.duration >= 0 and r.meta.get('error') is None

OUT = [('raise ValueError("bad")', 1, 'failed'), ('import sys; sys.exit(0)', 0, 'finished'),
    ('import sys; sys.exit()', 0, 'finished'),
    ('import sys; sys.exit(3)', 3, 'failed'), ('import sys; sys.exit("no data")', 1, 'failed'),
    ('import os; os._exit(0)', 0, 'crashed'),
    ('raise KeyboardInterrupt', None, 'interrupted'), ('import os; os.abort()', -signal.SIGABRT, 'crashed'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGTERM)', -signal.SIGTERM, 'interrupted'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGHUP)', -signal.SIGHUP, 'interrupted')]

@pytest.mark.parametrize('how,rc,status', OUT, ids=[o[0][:28] for o in OUT])
def test_the_ways_out_of_a_script(script, how, rc, status):
    """Without a `with` block the status says how the script ended, its exit status is its own, and the last row is
    there."""
    heard = 'import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n'           # nohup would have it ignored
    r = script(f"{heard}import mlkit\nrun = mlkit.init('p')\nrun.log(a=1.)\n{how}")
    assert rc is None or r.rc == rc
    assert only().status == status and only().metric('a').value.tolist() == [1.]
    if how.startswith('raise ValueError'):
        assert 'ValueError: bad' in r.err, 'the traceback is printed as ever'
        e = only().meta['error']
        assert (e['type'], e['message']) == ('ValueError', 'bad') and 'raise ValueError("bad")' in e['traceback']

OUT_OF_WITH = [('pass', 'finished'), ('raise ValueError("bad")', 'failed'), ('raise KeyboardInterrupt', 'interrupted'),
    ('raise SystemExit(0)', 'finished'),
    ('raise SystemExit(1)', 'failed'), ('raise GeneratorExit', 'failed')]

@pytest.mark.parametrize('how,status', OUT_OF_WITH, ids=[o[0] for o in OUT_OF_WITH])
def test_the_ways_out_of_a_with_block(store, how, status):
    "The `with` block finishes the run, stores the traceback of what left it, and lets the exception through."
    try:
        with mlkit.init('p') as run:
            run.log(a=1.)
            exec(how)
        raised = False
    except BaseException: raised = True
    assert raised == (how != 'pass')
    assert run.status == only().status == status
    if status != 'finished': assert how.split('(')[0].split()[-1] in only().meta['error']['traceback']
    assert mlkit.current() is None

def test_the_given_end_wins(store):
    "`finish(status=...)` and W&B's `finish(exit_code=1)` say how the run ended; finishing twice changes nothing."
    run = mlkit.init('p', name='a')
    run.finish(status='failed')
    run.finish()
    mlkit.init('p', name='b').finish(exit_code=1)
    mlkit.init('p', name='c')
    mlkit.finish()
    mlkit.finish()
    assert {r.name: r.status for r in mlkit.runs('p')} == dict(a='failed', b='failed', c='finished')

def test_an_exception_that_was_caught_is_none(script):
    "A script that catches its exceptions ends well."
    script("import mlkit\nrun = mlkit.init('p')\ntry: 1/0\nexcept ZeroDivisionError: pass", ok=True)
    assert only().status == 'finished'

def test_ctrl_c(script):
    "A real SIGINT in the middle of the loop gives `interrupted`."
    p = script.start("import mlkit\nrun = mlkit.init('p')\nprint('go', flush=True)\nwhile True: run.log(a=1.)")
    p.stdout.readline()
    p.send_signal(signal.SIGINT)
    script.wait(p)
    assert only().status == 'interrupted' and only().meta['error']['type'] == 'KeyboardInterrupt'

@pytest.mark.parametrize('busy', ['time.sleep(60)', "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**30)", 'while True: run.log(a=1.)',
    'while True: run.log(a=1., t="text"*1000)', 'while True: print("x"*1000)', 'lock.acquire()'])
def test_kill(script, busy):
    """`kill PID` ends a run as interrupted and the process by the signal, whatever the program is busy with; a library
    that doesn't come back, too."""
    p = script.start(f"""
        import hashlib, mlkit, threading, time
        lock = threading.Lock()
        lock.acquire()
        run = mlkit.init('p', console=True)
        run.log(a=0.)
        print('ready')
        open('ready', 'w').close()
        {busy}
        """)
    until(lambda: (script.folder/'ready').exists())
    p.terminate()
    assert script.wait(p, 60).rc == -signal.SIGTERM
    assert only().status == 'interrupted' and only().summary['a'] >= 0. and only().meta['ended']

def test_a_handler_of_the_users_own_is_left_alone(script):
    "Whether it was there before or came later, it is called as ever, and the program goes on; a forked child dies as ever."
    r = script("""
        import mlkit, os, signal
        called = []
        def own(*args): called.append(args[0])
        signal.signal(signal.SIGHUP, own)
        run = mlkit.init('p')
        os.kill(os.getpid(), signal.SIGHUP)
        if not (pid := os.fork()):
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == signal.SIGTERM
        signal.signal(signal.SIGTERM, own)
        for _ in range(20): os.kill(os.getpid(), signal.SIGTERM)
        import time; time.sleep(.5)
        run.log(a=1.)
        run.finish()
        assert set(called) == {signal.SIGHUP, signal.SIGTERM} and signal.getsignal(signal.SIGTERM) is own
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        fds = len(os.listdir('/proc/self/fd')) if os.path.exists('/proc/self/fd') else 0
        for _ in range(5): mlkit.init('p').finish()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1
        time.sleep(.3)
        assert not fds or len(os.listdir('/proc/self/fd')) <= fds
        """, ok=True)
    assert {o.status for o in mlkit.runs('p')} == {'finished'}, r.err

def test_kill_9(script):
    "A living run says `running`; killed, it says `crashed` at once, with the time of its last record."
    p = script.start('''
        import mlkit, time
        run = mlkit.init('p')
        for i in range(10): run.log(a=i)
        print('go', flush=True)
        time.sleep(60)
        ''')
    p.stdout.readline()
    assert only().status == 'running' and only().ended is None
    p.kill()
    p.wait()
    r = only()
    assert r.status == 'crashed' and r.ended == pytest.approx(r.history()['_time'].iloc[-1], abs=1e-6)
    assert r.summary['a'] == 9 and len(r.history()) == 10
    assert json.loads((r.path/'run.json').read_text())['status'] == 'running', 'nobody had to write that it crashed'

def test_a_reader_on_another_host_guesses_and_says_so(script):
    "Where the lock can't be asked, the age of the last record decides, and the note says that it is a guess."
    script("import mlkit, os\nrun = mlkit.init('p')\nrun.log(a=1.)\nos._exit(0)")
    path = only().path/'run.json'
    meta = json.loads(path.read_text())
    meta['host'] |= dict(name='node7', boot_id='another')
    path.write_text(json.dumps(meta))
    r = only()
    assert r.status in ('running', 'crashed') and 'node7' in r.status_note and 'guess' in r.status_note

def test_excepthooks_of_others_still_run(script):
    "mlkit's hook passes exceptions on to the hook that was there, and to one that comes later."
    for order in ('before', 'after'):
        hook = "import sys\nsys.excepthook = lambda *a: print('HOOK', a[0].__name__)"
        init = "import mlkit\nmlkit.init('p')"
        r = script('\n'.join([hook, init] if order == 'before' else [init, hook]) + '\n1/0')
        assert r.rc == 1 and (order == 'after' or 'HOOK ZeroDivisionError' in r.out)
    assert 'failed' in {r.status for r in mlkit.runs('p')}

# --- notebooks

def test_a_kernel_that_is_shut_down(kernel):
    "The last rows before a kernel is shut down are there and the run is finished."
    k = kernel()
    k.run("import mlkit\nrun = mlkit.init('p')")
    k.run("for i in range(1000): run.log(a=i)")
    assert only().status == 'running'
    k.shutdown()
    assert only().status == 'finished' and len(only().history()) == 1000 and only().summary['a'] == 999

def test_nbclient_runs_a_notebook(tmp_path, store, monkeypatch):
    "A notebook executed from top to bottom, as in CI, leaves a finished run."
    import nbformat
    from conftest import clean_env
    from nbclient import NotebookClient
    for k, v in clean_env(MLKIT_STORE=store).items(): monkeypatch.setenv(k, v)
    cell = nbformat.v4.new_code_cell
    cells = [cell("import mlkit\nrun = mlkit.init('p')"), cell("for i in range(10): run.log(a=i)\nrun")]
    nb = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(nb, kernel_name='python3', resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert only().status == 'finished' and len(only().history()) == 10

def test_a_cell_that_raises_marks_the_run(kernel):
    "Without a `with` block the exception of a cell is recorded; a run that is then finished properly is finished."
    k = kernel()
    k.run("import mlkit\nrun = mlkit.init('p', name='mended')\nrun.log(a=1.)", 'init-1')
    text, error = k.run("def f(): raise LookupError('no such column')\nf()", 'bad')
    assert error == 'LookupError'
    e = until(lambda: only().meta.get('error'))
    assert (e['type'], e['message']) == ('LookupError', 'no such column') and 'def f()' in e['traceback']
    assert only().status == 'running'
    k.run("run.log(a=2.)\nrun.finish()")
    assert only().status == 'finished' and only().metric('a').value.tolist() == [1., 2.]
    k.run("run = mlkit.init('q')\nrun.log(a=1.)", 'init-2')
    k.run("1/0")
    k.shutdown()
    assert only('q').status == 'failed' and only('q').meta['error']['type'] == 'ZeroDivisionError'

def test_an_interrupted_cell(kernel):
    "The stop button gives `interrupted` when the user leaves it at that."
    k = kernel()
    k.run("import mlkit, time\nrun = mlkit.init('p')")
    m = k.send("run.log(a=1.)\nprint('go', flush=True)\nwhile True: time.sleep(.01)")
    until(lambda: len(only().history()))
    k.interrupt()
    assert k.result(m)[1] == 'KeyboardInterrupt'
    k.shutdown()
    assert only().status == 'interrupted'

@pytest.mark.parametrize('ids', [True, False], ids=['with cellId', 'without'])
def test_running_the_init_cell_again(kernel, ids):
    """The earlier run of the same cell ends as superseded, both are linked, one line says so; another cell's run just
    finishes."""
    def cid(s): return s if ids else None
    k = kernel()
    k.run("import mlkit", cid('imports'))
    init = "run = mlkit.init('p', config=dict(lr=.1))\nrun.log(a=1.)"
    first, _ = k.run(init, cid('init'))
    again, _ = k.run(init.replace('.1', '.2') if ids else init, cid('init'))
    assert len([o for o in again.splitlines() if 'supersede' in o]) == 1 and 'supersede' not in first
    old, new = sorted(mlkit.runs('p'), key=lambda r: r.started)
    assert (old.status, new.status) == ('superseded', 'running')
    assert old.meta['links']['superseded_by'] == new.id and new.meta['links']['supersedes'] == old.id
    assert len(old.history()) == 1 and mlkit.Store().get(old.id).metric('a').value.tolist() == [1.]
    other, _ = k.run("other = mlkit.init('p', name='other')", cid('another cell'))
    assert 'supersede' not in other and mlkit.Store().get(new.id).status == 'finished'
    text, error = k.run("run.log(a=2.)", cid('old variable'))
    assert error == 'RuntimeError'

def test_a_loop_in_one_cell_is_no_rerun(kernel):
    "A sweep in one cell makes a run each; none of them supersedes the one before."
    k = kernel()
    text, error = k.run('''
        import mlkit
        for lr in (.1, .2, .3):
            run = mlkit.init('p', config=dict(lr=lr))
            run.log(a=lr)
        run.finish()
        ''', 'sweep')
    assert error is None and 'supersede' not in text
    assert [r.status for r in mlkit.runs('p')] == ['finished']*3

def test_rerunning_after_finish_is_no_rerun_of_a_live_run(kernel):
    "A cell that finishes its own run can be run again: both runs are finished."
    k = kernel()
    for _ in range(2): k.run("import mlkit\nwith mlkit.init('p') as run: run.log(a=1.)", 'whole')
    assert [r.status for r in mlkit.runs('p')] == ['finished']*2

# --- wrong use

def test_log_before_init(store):
    "`mlkit.log` without a run names the call that is missing and creates nothing."
    with pytest.raises(RuntimeError, match='init'): mlkit.log(dict(a=1.))
    assert mlkit.current() is None and mlkit.run is None and not store.exists()

def test_log_after_finish(store):
    "`log` after `finish` raises on both of its paths and names the way to go on, which works."
    run = mlkit.init('p')
    for i in range(10): run.log(a=float(i))
    run.finish()
    for metrics in (dict(a=1.), dict(b='x')):
        with pytest.raises(RuntimeError, match='resume') as e: run.log(metrics)
        assert run.id in str(e.value)
    with pytest.raises(RuntimeError): run.config.lr = 1
    again = mlkit.init('p', resume=run.id)
    again.log(a=10.)
    assert again.history()['_step'].tolist() == list(range(11))

# --- resume

def test_resume_a_run(store):
    "`resume=ID` goes on with the run: id, name, config, tags and steps; what init says newly is added."
    run = mlkit.init('p', name='long', config=dict(lr=.1, wd=0.), tags=['x'], notes='first try')
    run.log(a=1.)
    run.finish()
    again = mlkit.init('p', resume=run.id, config=dict(lr=.2))
    assert (again.id, again.name, again.path) == (run.id, 'long', run.path) and again.resumed
    assert dict(again.config) == dict(lr=.2, wd=0.) and again.step == 1
    assert only().status == 'running'
    again.log(a=2.)
    again.finish()
    r = only()
    assert r.status == 'finished' and r.history()['_step'].tolist() == [0, 1] and r.meta['rows'] == 2
    assert r.config == dict(lr=.2, wd=0.) and tuple(r.tags) == ('x',) and r.notes == 'first try'
    assert r.summary['a'] == 2.
    assert [(e['key'], e['old'], e['new']) for e in r.events('config')] == [('lr', .1, .2)]

def test_resume_takes_what_the_reader_gives(store):
    "A run can be named by its record, its name or the start of its id."
    run = mlkit.init('p', name='long')
    run.finish()
    for ref in (only(), 'long', run.id, run.id[:-2]):
        again = mlkit.init('p', resume=ref)
        assert again.id == run.id
        again.finish()

def test_resume_must_and_allow(store):
    "As in W&B: 'must' needs the run, 'allow' takes it when it is there and makes it when it isn't, 'never' refuses."
    with pytest.raises((ValueError, KeyError, LookupError), match='my-run'): mlkit.init('p', id='my-run', resume='must')
    assert not mlkit.runs('p')
    run = mlkit.init('p', id='my-run', resume='allow')
    assert run.id == 'my-run' and not run.resumed
    run.log(a=1.)
    run.finish()
    for how in ('allow', 'must'):
        run = mlkit.init('p', id='my-run', resume=how)
        assert run.resumed
        run.log(a=2.)
        run.finish()
    assert only().metric('a').value.tolist() == [1., 2., 2.]
    with pytest.raises((ValueError, FileExistsError), match='my-run'): mlkit.init('p', id='my-run', resume='never')

def test_resume_of_nothing(store):
    "A run that isn't there is an error with its name."
    mlkit.init('p').finish()
    with pytest.raises((ValueError, KeyError, LookupError), match='nonsense'): mlkit.init('p', resume='nonsense')

def test_resume_after_a_crash(script):
    "A killed run is resumed with its steps, and is then finished; the error of an earlier end is gone."
    script("import mlkit, os\nrun = mlkit.init('p', id='r')\nfor i in range(5): run.log(a=i)\nos._exit(1)")
    assert only().status == 'crashed'
    script("import mlkit\nrun = mlkit.init('p', id='r', resume='must')\nrun.log(a=5)", ok=True)
    assert only().status == 'finished' and only().history()['_step'].tolist() == list(range(6))

def test_the_time_between_two_sessions_does_not_count(script):
    "Killed, then interrupted, then resumed a day later each: the duration is the time that somebody computed."
    script("import mlkit, os\nrun = mlkit.init('p', id='r')\nrun.log(a=1)\nos._exit(1)")
    crashed = only().ended
    script("import mlkit\nrun = mlkit.init('p', id='r', resume='must')\nrun.log(a=2)\nrun.finish('interrupted')", ok=True)
    assert only().meta['resumes'][0]['paused'] == crashed
    r = only()
    (first, second), waited = r.sessions, r.meta['resumes'][0]['time'] - crashed
    assert waited > 0 and r.duration == pytest.approx(r.ended - r.started - waited) and first[1] == crashed and second[1] == r.ended
    ended = r.ended
    with mlkit.init('p', id='r', resume='must') as run: run.log(a=3)
    assert len(only().sessions) == 3 and only().meta['resumes'][1]['paused'] == ended
    day = {**only().meta, 'ended': only().ended + 86400}
    day['resumes'] = [day['resumes'][0], {**day['resumes'][1], 'time': day['resumes'][1]['time'] + 86400}]
    before = only().duration
    (run.path/'run.json').write_text(json.dumps(day))
    assert only().duration == pytest.approx(before, abs=1e-3) and 'in 3 sessions' in repr(only()._repr_html_())

def test_sessions_of_a_foreign_run(store):
    "A run.json that says nothing of the pauses counts them in; odd values are passed over."
    with mlkit.init('p') as run: run.log(a=1)
    meta = only().meta
    odd = [dict(session=1, time=120), dict(session=2, time='late'),
        dict(session=3, time=150, paused='x'), dict(session=4, time=190, paused=170)]
    (run.path/'run.json').write_text(json.dumps({**meta, 'started': 100, 'ended': 200, 'resumes': odd}))
    assert only().sessions == [(100, 120), (120, 150), (150, 170), (190, 200)] and only().duration == 80

def test_resume_of_a_failed_run(store):
    "A resumed run that ends well is not 'finished with an error'."
    with pytest.raises(ZeroDivisionError), mlkit.init('p') as run: raise ZeroDivisionError
    with mlkit.init('p', resume=run.id) as run: run.log(a=1.)
    assert only().status == 'finished' and only().meta.get('error') is None

def test_resume_of_a_living_run(script):
    "Two processes can't both own a run: the second is told who has it, or joins, but the first loses nothing."
    p = script.start('''
        import mlkit, time
        mlkit.init('p', id='r').log(a=1.)
        print('go', flush=True)
        time.sleep(60)
        ''')
    p.stdout.readline()
    for how in ('must', 'allow'):
        r = script(f"import mlkit\nrun = mlkit.init('p', id='r', resume={how!r})\nrun.log(a=2.)")
        assert r.rc == 1 and f'Run r is still written by process {p.pid}' in r.err and 'mlkit.log without init' in r.err, r.err
    env, = re.findall('(MLKIT_PARENT_RUN)=([^;]+);', r.err)
    r = script("import mlkit\nmlkit.log(a=3.)", **dict([env]))
    assert r.rc == 0, r.err
    assert p.poll() is None and only().status == 'running' and only().metric('a').value.tolist() == [1., 3.]
    p.kill()

def test_two_processes_begin_one_run_at_once(script):
    "With `resume='allow'` one owns the run, and the others go on with it when it has ended, or are told how to join; no row is lost."
    code = """
        import mlkit, os, sys, time
        while not os.path.exists('go'): pass
        try: run = mlkit.init('p', id='r', resume='allow', code=False, console=False, system=False, packages=False)
        except RuntimeError as e:
            assert 'is still written by process' in str(e) and 'MLKIT_PARENT_RUN=' in str(e), e
            sys.exit(0)
        run.log(a=int(sys.argv[1]))
        run.finish()
        print('mine')"""
    procs = [script.start(code, i) for i in range(4)]
    time.sleep(1)
    (script.folder/'go').touch()
    ended = [script.wait(p) for p in procs]
    assert all(o.rc == 0 for o in ended), ended
    mine = [i for i, o in enumerate(ended) if 'mine' in o.out]
    assert mine and sorted(only().history()['a']) == mine and only().status == 'finished' and len(only().sessions) == len(mine)

def test_a_folder_without_a_run(store):
    "A process that died between making the folder and writing run.json leaves the id taken; the message says so, soon."
    (store/'p'/'r').mkdir(parents=True)
    with pytest.raises(ValueError, match="'r' exists"): mlkit.init('p', id='r', resume='allow')

# --- init

def test_init_fields(store):
    "What init is given is in run.json and in the record: name, group, job type, tags, notes, config, host."
    run = mlkit.init('p', name='n', config=dict(a=1), group='g', job_type='train', tags=('x', 'y'), notes='why')
    run.finish()
    r = only()
    assert (r.name, r.project, r.group, r.job_type, tuple(r.tags), r.notes) == ('n', 'p', 'g', 'train', ('x', 'y'),
        'why')
    assert r.meta['format'] == 1 and r.meta['host']['pid'] and len((r.path/'run.json').read_bytes()) < 3000
    assert (store/'.gitignore').read_text().strip() == '*'

def test_default_names(store):
    "Without a project the folder's name is taken, and the run is called by the words of its id."
    run = mlkit.init()
    assert run.project == Path.cwd().name and run.id.endswith(run.name) and run.path == store/run.project/run.id

@dataclasses.dataclass
class Settings: lr:float = .1; layers:tuple = (1, 2)

@pytest.mark.parametrize('config,want', [(argparse.Namespace(lr=.1, path=Path('/x')), dict(lr=.1, path='/x')),
    (Settings(), dict(lr=.1, layers=[1, 2])),
    (dict(opt=dict(name='adam', betas=(.9, .99))), dict(opt=dict(name='adam', betas=[.9, .99]))), (None, {})])
def test_kinds_of_config(store, config, want):
    "A dict, a Namespace, a dataclass: all become settings, nested as they are."
    mlkit.init('p', config=config).finish()
    assert only().config == want

def test_the_config_may_change(store):
    "A setting may change in a notebook: run.json has the new value, the events keep the old one."
    run = mlkit.init('p', config=dict(lr=.1))
    run.config.lr = .01
    run.config['depth'] = 3
    run.config.update(dict(depth=4), allow_val_change=True)
    assert run.config.lr == .01 and run.config['depth'] == 4 and 'depth' in run.config
    assert run.config.get('nope', 5) == 5
    assert only().config == dict(lr=.01, depth=4), 'a reader sees it while the run lives'
    run.finish()
    assert [(e['key'], e['old'], e['new']) for e in only().events('config')] == [('lr', .1, .01), ('depth', None, 3),
        ('depth', 3, 4)]
    with pytest.raises(AttributeError, match='lr, depth'): _ = run.config.momentum

class Mute:
    "A setting that can't even be printed."
    def __repr__(self): raise RuntimeError('no')

@pytest.mark.parametrize('kind', ['cyclic', 'deep', 'mute', 'surrogate'])
def test_no_config_kills_init(store, kind):
    """Whatever a setting is, a dict that holds itself or the path of a file that is no UTF-8, `init` works and the
    rest is there."""
    odd = dict(cyclic=(c := {}), deep=(d := {}), mute=Mute(), surrogate='/data/caf\udce9')[kind]
    c['me'] = c
    for _ in range(3000): d['in'] = d = {}
    with mlkit.init('p', config=dict(odd=odd, lr=.1)) as run: run.config.later = odd
    assert only().status == 'finished' and only().config['lr'] == .1 and 'odd' in only().config

def test_text_with_half_surrogates(store):
    "Names, notes, tags and text from file names that are no UTF-8 are stored like any other."
    odd = 'caf\udce9'
    with mlkit.init('p', name=odd, notes=odd, tags=[odd], group=odd) as run:
        run.summary[odd] = odd
        run.alert(odd, odd)
    r = only()
    assert r.status == 'finished' and len(r.notes) == len(r.name) == 4 and repr(mlkit.runs('p')) and repr(r)

class Speechless(Exception):
    "An exception without a message, to put it mildly."
    def __str__(self): raise RuntimeError('no')

@pytest.mark.parametrize('e', [Speechless(), FileNotFoundError('caf\udce9'), ValueError('x'*10**6)],
    ids=['speechless', 'surrogate', 'long'])
def test_odd_exceptions(store, e):
    "Whatever its message is, an exception passes the `with` block unchanged and the run has failed."
    with pytest.raises(type(e)) as got, mlkit.init('p'): raise e
    assert got.value is e and only().status == 'failed' and only().meta['error']['type'] == type(e).__name__
    assert (only().path/'run.json').stat().st_size < 50_000

def test_the_config_can_be_copied(store):
    "Training code copies and pickles its settings: a copy is equal, changes nothing in the run, and holds the values."
    import copy, pickle
    run = mlkit.init('p', config=dict(lr=.1, opt=dict(name='adam')))
    for c in (copy.copy(run.config), copy.deepcopy(run.config), pickle.loads(pickle.dumps(run.config)),
        dict(run.config), {**run.config}):
        assert c == dict(lr=.1, opt=dict(name='adam')) and c['lr'] == .1
    c = copy.deepcopy(run.config)
    c['lr'] = 9.
    assert run.config.lr == .1 and run.events('config') == []

def test_a_run_unpickled_after_its_end(store):
    "A finished run that comes out of a pickle is as finished as before."
    import pickle
    with mlkit.init('p') as run: run.log(a=1.)
    again = pickle.loads(pickle.dumps(run))
    with pytest.raises(RuntimeError, match='resume'): again.log(a=2.)
    assert again.status == 'finished' and len(only().history()) == 1

def test_the_callers_config_is_not_shared(store):
    "Changing the dict afterwards does not change what was recorded."
    cfg = dict(lr=.1, opt=dict(name='adam'))
    run = mlkit.init('p', config=cfg)
    cfg['lr'] = 9.
    cfg['opt']['name'] = 'sgd'
    run.finish()
    assert only().config == dict(lr=.1, opt=dict(name='adam'))

def test_a_second_init_in_a_script(store):
    "A loop of `init` without `finish` gives a finished run each; the current run is the newest."
    a = mlkit.init('p', name='a')
    a.log(x=1.)
    b = mlkit.init('p', name='b')
    mlkit.log(dict(x=2.))
    assert mlkit.current() is b is mlkit.run and a.status == 'finished'
    b.finish()
    assert {r.name: r.metric('x').value.tolist() for r in mlkit.runs('p')} == dict(a=[1.], b=[2.])

@pytest.mark.parametrize('reinit', [True, 'finish_previous', 'create_new', 'return_previous'])
def test_reinit(store, reinit):
    "W&B's values of `reinit` mean what they mean there."
    a = mlkit.init('p', name='a')
    b = mlkit.init('p', name='b', reinit=reinit)
    assert (b is a) == (reinit == 'return_previous')
    assert a.status == ('running' if reinit in ('create_new', 'return_previous') else 'finished')
    for run in (a, b): run.finish()

def test_the_outer_run_comes_back(store):
    "After runs that `create_new` began have ended, in any order, the present run is the newest that goes on."
    a = mlkit.init('p', name='a')
    b = mlkit.init('p', name='b', reinit='create_new')
    c = mlkit.init('p', name='c', reinit='create_new')
    b.finish()
    assert mlkit.current() is c
    c.finish()
    mlkit.log(dict(x=1.))
    assert mlkit.current() is a
    a.finish()
    assert mlkit.current() is None
    with pytest.raises(RuntimeError, match='finished'): mlkit.log(dict(x=1.))
    assert {r.name: r.meta['rows'] for r in mlkit.runs('p')} == dict(a=1, b=0, c=0)

def test_an_exception_ends_the_outer_run_too(script):
    "All the runs that a script has open have failed with it."
    script("import mlkit\nfor i in range(2): mlkit.init('p', reinit='create_new')\nraise ValueError('bad')")
    assert [(r.status, r.meta['error']['type']) for r in mlkit.runs('p')] == [('failed', 'ValueError')]*2

def test_the_end_of_the_run_before_is_said(store, capfd):
    "A second `init` names both runs, and how to keep the first; nothing is said where it was asked for."
    mlkit.init('p', name='a')
    mlkit.init('p', name='b')
    said = [line for line in capfd.readouterr().err.splitlines() if 'begins' in line]
    assert len(said) == 1 and said[0].startswith('mlkit: a is finished, since b begins; reinit=')
    mlkit.init('p', name='c', reinit='create_new')
    assert 'begins' not in capfd.readouterr().err
    while mlkit.current(): mlkit.finish()

def test_resume_latest(store):
    "The newest run of the project goes on, however it ended; without one the error says so."
    with pytest.raises(ValueError, match='no run yet'): mlkit.init('p', resume='latest')
    for name in 'ab':
        with mlkit.init('p', name=name) as run: run.log(x=1.)
    mlkit.init('q').finish()
    with mlkit.init('p', resume='latest', name='ignored') as more: more.log(x=2.)
    assert (more.id, more.name, len(more.history())) == (run.id, 'b', 2)

@pytest.mark.parametrize('where', ['argument', 'environment', 'pyproject'])
def test_user_and_host_can_be_left_out(script, where):
    "Neither name is in the run's folder, and yet a living run is known to live; hardware goes with system or by itself."
    args, env = '', {}
    if where == 'argument': args = ', user=False, host=False, hardware=True'
    if where == 'environment': env = dict(MLKIT_USER='0', MLKIT_HOST='off', MLKIT_HARDWARE='1')
    if where == 'pyproject':
        (script.folder/'pyproject.toml').write_text('[tool.mlkit]\nuser = false\nhost = false\nhardware = true\n')
    r = script(f"""
        import mlkit, getpass, socket
        run = mlkit.init('p'{args})
        assert mlkit.runs('p')[0].status == 'running'
        run.finish()
        with mlkit.init('p', resume=run{args}): pass
        text = (run.path/'run.json').read_text()
        print([o in text for o in (f'"user": "{{getpass.getuser()}}"', socket.gethostname())])
        """, ok=True, **env)
    assert r.out.split('\n')[0] == '[False, False]' and r.err.count('Error') == 0
    assert {'name', 'user'}.isdisjoint(only().meta['host']) and only().meta['hardware']['cores'] >= 1
    assert only().name in repr(mlkit.runs('p'))

def test_disabled(store):
    "`mode='disabled'` takes every call and writes nothing."
    with mlkit.init('p', config=dict(lr=.1, api_key='k'), mode='disabled') as run:
        run.log(a=1.)
        mlkit.log(dict(a=2.), step=5)
        run.config.lr = .2
        run.summary['best'] = 1.
        run.define_metric('a', summary='max')
        run.alert('t', 'x')
        assert run.config.lr == .2 and mlkit.current() is run and len(run.history()) in (0, 2) and run.id and run.name
        with pytest.raises(ZeroDivisionError): raise ZeroDivisionError
    assert not store.exists() or not list(store.rglob('run.json'))

def test_disabled_by_the_environment(script, store):
    "`MLKIT_MODE=disabled` switches tracking off without touching the script."
    script("import mlkit\nrun = mlkit.init('p')\nrun.log(a=1.)\nrun.finish()", ok=True, MLKIT_MODE='disabled')
    assert not store.exists() or not list(store.rglob('run.json'))

def test_an_unknown_mode_or_resume(store):
    "A wrong value lists the right ones."
    with pytest.raises(ValueError, match='disabled'): mlkit.init('p', mode='of')
    assert not mlkit.runs('p')

WANDB_ONLY = dict(entity='team', settings=None, anonymous='allow', save_code=True, force=True, dir='/nowhere',
    sync_tensorboard=True, monitor_gym=True,
    magic=True, allow_val_change=True, config_exclude_keys=['x'])

def test_wandb_arguments_are_accepted(script):
    "Arguments of W&B that mean nothing here give one line of notice that names them, not an error."
    r = script(f"import mlkit\nmlkit.init('p', **{WANDB_ONLY!r})", ok=True)
    said = [o for o in (r.out + r.err).splitlines() if 'entity' in o]
    assert len(said) == 1 and 'anonymous' in said[0] and only().status == 'finished'

def test_an_unknown_argument_is_an_error(store):
    "A misspelt argument is no W&B argument."
    with pytest.raises(TypeError, match='confg'): mlkit.init('p', confg=dict(lr=.1))

@pytest.mark.parametrize('mode', ['online', 'offline'])
def test_wandb_modes(store, mode):
    "W&B's modes that track are all the same here."
    mlkit.init('p', mode=mode).finish()
    assert only().status == 'finished'

def test_secrets_are_masked(script, store):
    """A setting that looks like a secret never reaches the disk, at init or later, nested or not; a notice names it;
    the program has it."""
    r = script('''
        import mlkit
        db = dict(password='S3CRET-2', host='h')
        run = mlkit.init('p', config=dict(api_key='S3CRET-1', lr=.1, db=db, apis=[dict(token='S3CRET-3')]))
        run.config.hf_token = 'S3CRET-4'
        run.config.update(dict(aws=dict(secret_access_key='S3CRET-5')))
        run.config.api_key = 'S3CRET-6'
        run.config.db['password'] = 'S3CRET-7'
        run.log(a=1.)
        assert run.config.api_key == 'S3CRET-6' and run.config.db['password'] == 'S3CRET-7'
        ''', ok=True)
    assert 'api_key' in r.out + r.err and 'db.password' in r.out + r.err and 'S3CRET' not in r.out + r.err
    assert not [f for f in store.rglob('*') if f.is_file() and b'S3CRET' in f.read_bytes()]
    c = only().config
    assert c['lr'] == .1 and c['db']['host'] == 'h' and c['api_key'] != 'S3CRET-6' and 'hf_token' in c

def test_words_that_only_sound_secret(store):
    "Settings such as `max_tokens` or `tokenizer` are kept."
    cfg = dict(max_tokens=5, tokenizer='bpe', num_tokens=7, keyboard='x', author='me', secretary='s')
    mlkit.init('p', config=cfg).finish()
    assert only().config == cfg

# --- the rest of a run

def test_current_run(store):
    "`mlkit.log`, `finish`, `run`, `config` and `summary` are those of the current run."
    run = mlkit.init('p', config=dict(lr=.1))
    assert mlkit.current() is run is mlkit.run and mlkit.config.lr == .1
    mlkit.log(dict(a=1.))
    mlkit.log(dict(b=2.), step=7)
    mlkit.define_metric('a', summary='max')
    mlkit.summary['note'] = 'x'
    mlkit.finish()
    assert mlkit.current() is None and only().summary == dict(a=1., b=2., note='x')
    assert only().history()['_step'].tolist() == [0, 7]

def test_a_finished_run_is_still_good_for_reading(store):
    "After `finish` the object answers: history, summary, status, repr."
    with mlkit.init('p') as run: run.log(a=1.)
    assert run.status == 'finished' and run.summary['a'] == 1. and len(run.history()) == 1 and run.name in repr(run)

def test_define_metric(store):
    "`define_metric` says which value of a metric counts; what the user sets wins; an unknown summary lists the known."
    rules = dict(a='max', b='min', c='mean', d='first', e='last', f='none')
    with mlkit.init('p') as run:
        for k, how in rules.items(): run.define_metric(k, summary=how, step_metric='epoch')
        run.define_metric('val/*', summary='max')
        run.define_metric('h', summary='best', goal='minimize')
        for v in (2., 5., -1.): run.log({**dict.fromkeys('abcdefgh', v), 'val/acc': v})
        run.log(a=float('nan'))
        run.summary['g'] = 42
        with pytest.raises(ValueError, match='max'): run.define_metric('a', summary='maximum')
        live = dict(run.summary)
    want = dict(a=5., b=-1., c=2., d=2., e=-1., g=42, h=-1.) | {'val/acc': 5.}
    assert dict(only().summary) == want == live
    assert only().meta['metrics']['a'] == dict(summary='max', step_metric='epoch')

def test_define_metric_with_several_summaries(store):
    "W&B's `summary='max,min'` gives a column each, live, after the end and for a reader of a pattern."
    with mlkit.init('p') as run:
        run.define_metric('acc', summary='max,min')
        run.define_metric('val/*', summary=' best, last ,copy', goal='minimize')
        for v in (2., 5., -1., 3.): run.log({'acc': v, 'val/loss': v})
        with pytest.raises(ValueError, match="'mx'"): run.define_metric('acc', summary='max,mx')
        live = dict(run.summary)
    assert live == dict(only().summary) == {'acc.max': 5., 'acc.min': -1., 'val/loss.best': -1., 'val/loss.last': 3.}
    assert mlkit.runs('p').df['summary.acc.max'].tolist() == [5.]

def test_the_summary_of_a_crashed_run_knows_the_rules(script):
    "A reader applies `define_metric` and what the user set, when the run could not."
    script('''
        import mlkit, os
        run = mlkit.init('p')
        run.define_metric('a', summary='max')
        for v in (1., 3., 2.): run.log(a=v, b=v)
        run.summary['best'] = 'mine'
        run.summary['b'] = 7.
        os._exit(1)
        ''')
    assert dict(only().summary) == dict(a=3., b=7., best='mine')

def test_alert(store, capsys):
    "An alert is recorded with title, text and level, and can be seen."
    run = mlkit.init('p')
    run.alert('Loss is NaN', 'after 3 epochs', level='WARN')
    mlkit.alert(title='second')
    (a, b) = run.events('alert')
    assert (a['title'], a['text'], a['level'], b['title']) == ('Loss is NaN', 'after 3 epochs', 'warn', 'second')
    assert 'Loss is NaN' in ''.join(capsys.readouterr())

def test_save(store, tmp_path):
    """`save` copies files, folders and patterns as they are now, and links them; nothing to save is an error with the
    name."""
    (tmp_path/'model.pt').write_bytes(b'1')
    (tmp_path/'out').mkdir()
    for n in 'ab': (tmp_path/'out'/f'{n}.txt').write_text(n)
    run = mlkit.init('p')
    run.save('model.pt')
    run.save('out/*.txt')
    mlkit.save(tmp_path/'out')
    (tmp_path/'model.pt').write_bytes(b'2')
    assert (run.path/'files'/'model.pt').read_bytes() == b'1' and (run.path/'files'/'out'/'b.txt').read_text() == 'b'
    assert 'model.pt' in {e['path'] for e in run.events('file')}
    with pytest.raises(FileNotFoundError, match='nothing.here'): run.save('nothing.here')

def test_save_of_the_folder_that_holds_the_store(store, tmp_path):
    "Saving the working directory copies it once, without the store that lies in it."
    (tmp_path/'train.py').write_text('x')
    run = mlkit.init('p')
    run.save('.')
    run.save(str(tmp_path), base_path=str(tmp_path.parent))
    copies = list((run.path/'files').rglob('*'))
    assert 'train.py' in {p.name for p in copies} and not [p for p in copies if p.name == 'store'] and run.dropped == 0

def test_overhead(store):
    "`run.overhead` says what logging cost: calls, time a call, its share, bytes on disk."
    run = mlkit.init('p')
    for i in range(1000): run.log(a=float(i), b=1.)
    o = run.overhead
    assert o['calls'] == 1000 and 0 < o['us_per_call'] < 1e6 and 0 < o['share'] <= 1
    on_disk = sum(f.stat().st_size for f in (run.path/'history').iterdir())
    assert 32*1000 <= o['bytes'] <= on_disk + 10_000

def test_commit_false(store):
    "W&B's `commit=False` holds values back until the next call, also one without values, and until the end."
    run = mlkit.init('p')
    run.log(dict(a=1.), commit=False)
    assert len(run.history()) == 0
    run.log(dict(b=2.))
    run.log(dict(a=3.), commit=False)
    run.log({})
    run.log(dict(a=4.), commit=False)
    run.finish()
    h = only().history()
    assert h['_step'].tolist() == [0, 1, 2] and h['a'].tolist() == [1., 3., 4.] and h['b'].tolist()[0] == 2.

def test_init_returns_while_the_rest_follows(store, monkeypatch):
    "With everything switched on a run that ends at once has its code, packages and hardware: the end waits for them."
    for k in ('MLKIT_CODE', 'MLKIT_PACKAGES', 'MLKIT_SYSTEM'): monkeypatch.setenv(k, '1')
    mlkit.init('p').finish()
    r = only()
    packages = json.loads((r.path/'env.json').read_text())
    assert r.meta['code'] and r.meta['hardware']['cores'] and 'numpy' in str(packages)
