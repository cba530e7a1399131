"Console copies and system samples where a lesson can't show them: killed, forked, in a kernel, on a full disk."
import io
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from conftest import only

from mlkit.track import monitor
from mlkit.track.monitor import HOLD, WIDE, Console, ConsoleLog, Screen, SystemMonitor

ROOT = Path(__file__).resolve().parent.parent


def script(tmp_path, code, **kw):
    "Run `code` in a fresh interpreter with a console copy at `tmp_path`; returns the finished process."
    head = 'from mlkit.track.monitor import *\nimport os, sys, threading, time, signal, logging\n' \
        f'run = {str(tmp_path)!r}\n'
    call = [sys.executable, '-c', head + code]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=60, **kw)


def log_of(path): return (Path(path)/'console.log').read_text()


# ---- what a terminal would show

def shown(*parts):
    s = Screen()
    return ''.join(s.feed(p) for p in parts) + s.pending()


@pytest.mark.parametrize('text, want', [
    ('a\r\nb\r\n', 'a\nb\n'),
    ('10%\r20%\r30%\n', '30%\n'),
    ('long text\rshort\n', 'shorttext\n'),                        # a terminal keeps what is not overwritten
    ('long text\r\x1b[Kshort\n', 'short\n'),
    ('\x1b[1;31mred\x1b[0m\n', 'red\n'),
    ('\x1b]0;title\x07text\n', 'text\n'),
    ('\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n', 'link\n'),
    ('ab\b\bcd\n', 'cd\n'),
    ('a\tb\x00\x07c\n', 'a\tbc\n'),
    ('  spaces kept  \n', '  spaces kept  \n'),
    ('no newline', 'no newline\n'),
    ('ünïcode 日本 🚀\n', 'ünïcode 日本 🚀\n'),
    ('\n\n\n', '\n\n\n'),
    ('', ''),
])
def test_screen_folds(text, want):
    "Control characters leave what a terminal would show, however the text is cut into writes."
    assert shown(text) == want
    assert shown(*text) == want
    for n in (2, 3, 5): assert shown(*(text[i:i+n] for i in range(0, len(text), n))) == want


def test_screen_never_grows():
    "Neither endless lines nor endless bars nor endless escape sequences may fill the memory."
    s, out = Screen(), 0
    for _ in range(200): out += len(s.feed('x'*10_000))
    assert out > 1_000_000 and len(s.rows[0]) <= WIDE + 10_000
    s = Screen()
    for i in range(500): s.feed(f'\rbar {i}\n')
    assert len(s.rows) <= HOLD + 2
    s = Screen()
    s.feed('\x1b]' + 'x'*100_000)
    assert len(s.torn) < 10_000
    for letter in 'ABCDEFGJKX': s.feed(f'\x1b[999999999{letter}x')
    assert all(len(r) < 10_000 for r in s.rows)


def test_screen_survives_garbage():
    "Random control text never raises, and every plain line after it arrives."
    import random
    rnd = random.Random(0)
    for _ in range(300):
        s = Screen()
        for _ in range(20): s.feed(''.join(rnd.choices('ab\r\n\b\x1b[]0123;ABCDEFGJKm\x07\\ é', k=rnd.randrange(30))))
        s.feed('\x07\n\n')
        assert 'the end' in s.feed('the end\nx\n') + s.pending()


def test_tqdm_bars(tmp_path):
    "A real tqdm: nested bars, text in between, and one line for each finished bar."
    tqdm = pytest.importorskip('tqdm').tqdm
    log = ConsoleLog(tmp_path/'console.log')
    err = type('Err', (io.StringIO,), dict(write=lambda self, t: log.feed('err', t)))()
    for epoch in tqdm(range(3), desc='epoch', file=err, mininterval=0, ncols=60):
        for _ in tqdm(range(5), desc='batch', file=err, mininterval=0, leave=False, ncols=60): pass
        log.feed('out', f'loss {epoch}\n')
    log.close()
    lines = log_of(tmp_path).splitlines()
    assert [o for o in lines if o.startswith('loss')] == ['loss 0', 'loss 1', 'loss 2']
    assert 'epoch: 100%' in lines[-1]
    assert len(lines) <= 10, lines


def test_nested_bars_without_tqdm(tmp_path):
    "The way nested bars are drawn: a line down, the inner bar, and up again; text printed meanwhile comes through."
    log = ConsoleLog(tmp_path/'console.log')
    for i in range(3):
        log.feed('err', f'\router {i + 1}/3')
        for j in range(4): log.feed('err', '\n'), log.feed('err', f'\rinner {j + 1}/4'), log.feed('err', '\x1b[A')
        log.feed('err', '\n\r         \x1b[A')
        log.feed('out', f'loss {i}\n')
    log.feed('err', '\n')
    log.close()
    assert log_of(tmp_path) == 'loss 0\nloss 1\nloss 2\nouter 3/3\n'


def test_finished_bar_stays_in_order(tmp_path):
    "A bar on stderr that ended comes before what is then printed on stdout."
    log = ConsoleLog(tmp_path/'console.log')
    for i in range(2):
        log.feed('err', '\r 50%')
        log.feed('err', '\r100%\n')
        log.feed('out', f'epoch {i}\n')
    log.close()
    assert log_of(tmp_path) == '100%\nepoch 0\n100%\nepoch 1\n'


# ---- nothing lost

def test_killed_process_keeps_every_line(tmp_path):
    "SIGKILL at any moment loses at most the line being written."
    code = 'Console(run).start()\nfor i in range(10**9):\n    print("line", i)\n    os.write(3, b"%d\\n" % i)'
    r, w = os.pipe()
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    head = f'import os\nfrom mlkit.track.monitor import *\nos.dup2({w}, 3)\nrun = {str(tmp_path)!r}\n'
    p = subprocess.Popen([sys.executable, '-c', head + code], pass_fds=[w], stdout=subprocess.DEVNULL, env=env)
    os.close(w)
    seen = b''
    while len(seen) < 50_000: seen += os.read(r, 65536)
    p.send_signal(signal.SIGKILL)
    p.wait()
    while more := os.read(r, 65536): seen += more
    os.close(r)
    last = int(seen.split(b'\n')[-2])
    lines = log_of(tmp_path).splitlines()
    assert lines[:last + 1] == [f'line {i}' for i in range(last + 1)]


def test_live_bar_is_readable_after_a_kill(tmp_path):
    "The last state of an unfinished bar is on disk, at most a second or so old."
    code = '''Console(run).start()
print('start')
for i in range(25):
    print(f'\\rstep {i}', end='', file=sys.stderr); time.sleep(0.1)
os.kill(os.getpid(), signal.SIGKILL)'''
    script(tmp_path, code)
    lines = log_of(tmp_path).splitlines()
    assert lines[0] == 'start' and len(lines) == 2
    assert int(lines[1].split()[1]) >= 10


def test_uncaught_error_and_logging_are_heard(tmp_path):
    "A handler made before the run, and the traceback that ends the process, are in the copy and on the terminal."
    code = 'logging.basicConfig()\nConsole(run).start()\nlogging.warning("early bird")\nraise ValueError("the end")'
    p = script(tmp_path, code)
    assert 'early bird' in log_of(tmp_path) and 'ValueError: the end' in log_of(tmp_path)
    assert 'early bird' in p.stderr and 'ValueError: the end' in p.stderr and p.returncode == 1


def console(): return (only().path/'console.log').read_text()


@pytest.mark.parametrize('how', ['run = mlkit.init("p")\nf()', 'with mlkit.init("p") as run: f()'])
def test_the_error_that_ends_a_run_is_in_its_console(script, how):
    "Its traceback, once, on lines of its own, below a bar that wasn't finished."
    head = "import mlkit, sys\ndef f():\n    print('\\r50%', end='', file=sys.stderr)\n    raise ValueError('the end')\n"
    r = script(head + how, MLKIT_CONSOLE='1')
    lines = console().splitlines()
    assert r.rc == 1 and r.err.count('ValueError: the end') == 1
    assert lines[:2] == ['50%', 'Traceback (most recent call last):'] and lines[-1] == 'ValueError: the end'
    assert console().count('ValueError: the end') == 1 and only().status == 'failed'


def test_an_exit_is_no_error_in_the_console(script):
    "sys.exit prints no traceback, so there is none."
    script('import mlkit, sys\nmlkit.init("p")\nprint("bye")\nsys.exit(3)', MLKIT_CONSOLE='1')
    assert console() == 'bye\n' and only().status == 'failed'


def test_a_resumed_run_does_not_repeat_its_error(script):
    "The traceback of the first session stands where it was."
    script('import mlkit\nmlkit.init("p", name="a")\nprint(1)\n1/0', MLKIT_CONSOLE='1')
    script('import mlkit\nwith mlkit.init("p", resume="a"): print(2)', ok=True, MLKIT_CONSOLE='1')
    assert console().count('ZeroDivisionError: division by zero') == 1 and console().endswith('zero\n2\n')


def test_an_error_in_a_notebook_is_in_the_console(kernel):
    "Where it happened, between what was printed before and after, although a notebook shows it without printing."
    k = kernel(MLKIT_CONSOLE='1')
    for cell in ('import mlkit\nrun = mlkit.init("p")', 'print("before")\n1/0', 'print("after")', 'run.finish()'): k.run(cell)
    text = console()
    assert text.startswith('before\nTraceback') and text.endswith('ZeroDivisionError: division by zero\nafter\n')


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path):
    "A second session adds to the file of the first."
    for i in range(2):
        with Console(tmp_path): print('session', i)
    assert log_of(tmp_path) == 'session 0\nsession 1\n'


# ---- many writers

def test_threads(tmp_path):
    "Lines of several threads all arrive, none torn."
    code = '''Console(run).start()
def go(t):
    for i in range(500): sys.stdout.write(f'<{t} {i}>\\n')
ts = [threading.Thread(target=go, args=(t,)) for t in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]'''
    script(tmp_path, code)
    assert sorted(log_of(tmp_path).splitlines()) == sorted(f'<{t} {i}>' for t in range(4) for i in range(500))


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_forked_children(tmp_path):
    "Children add whole lines, what the parent had half written appears once, no child waits for an inherited lock."
    code = '''Console(run).start()
busy = True
def noise():
    while busy: sys.stderr.write('\\rnoise'); time.sleep(0)
threading.Thread(target=noise, daemon=True).start()
sys.stdout.write('half ')
pids = []
for c in range(8):
    pid = os.fork()
    if not pid:
        for i in range(50): sys.stdout.write(f'child {c} {i}\\n')
        os._exit(0)
    pids.append(pid)
for p in pids: os.waitpid(p, 0)
busy = False
time.sleep(0.05)
sys.stdout.write('line\\n')'''
    assert script(tmp_path, code).returncode == 0
    lines = log_of(tmp_path).splitlines()
    want = sorted(f'child {c} {i}' for c in range(8) for i in range(50))
    assert sorted(o for o in lines if o.startswith('child')) == want
    assert lines.count('half line') == 1


def test_printing_in_a_signal_handler(tmp_path):
    "A handler that prints in the middle of a print neither deadlocks nor loses a line."
    code = '''Console(run).start()
n = 0
def on(*_):
    global n
    n += 1
    sys.stdout.write(f'signal {n}\\n') if not inside else os.write(2, b'')
inside = False
signal.signal(signal.SIGALRM, on)
signal.setitimer(signal.ITIMER_REAL, .001, .001)
log = sys.stdout.write.feeds[0]
end = time.time() + .5
k = 0
while time.time() < end:
    log(f'line {k}\\n'); k += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print('total', k)'''
    p = script(tmp_path, code)
    assert p.returncode == 0, p.stderr
    lines = log_of(tmp_path).splitlines()
    k = int(lines[-1].split()[1])
    assert [o for o in lines if o.startswith('line')] == [f'line {i}' for i in range(k)]


# ---- streams

def test_streams_stay_what_they_were(capsys, tmp_path):
    "Identity, attributes and encoding of the streams don't change, and stop leaves nothing behind."
    out, err, write = sys.stdout, sys.stderr, sys.stdout.write
    had = dict(vars(out))
    c = Console(tmp_path).start()
    assert sys.stdout is out and sys.stderr is err and sys.stdout.encoding == out.encoding
    print('hello')
    c.stop()
    c.stop()
    assert vars(out) == had and sys.stdout.write == write
    print('after')
    assert capsys.readouterr().out == 'hello\nafter\n' and log_of(tmp_path) == 'hello\n'


def test_several_consoles(capsys, tmp_path):
    "Each live console gets the text, whatever the order in which they stop."
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        paths = [tmp_path/f'{"".join(map(str, order))}-{i}' for i in range(3)]
        cs = []
        for i, p in enumerate(paths):
            p.mkdir()
            cs.append(Console(p).start())
            print('start', i)
        for i in order:
            cs[i].stop()
            print('stop', i)
        assert 'write' not in vars(sys.stdout)
        for i, p in enumerate(paths):
            want = [f'start {j}' for j in range(i, 3)] + [f'stop {j}' for j in order[:order.index(i)]]
            assert log_of(p).splitlines() == want


def test_somebody_else_on_top(capsys, tmp_path):
    "Another tool that wraps `write` after us keeps working when we stop, and its wrapper stays."
    c = Console(tmp_path).start()
    inner, heard = sys.stdout.write, []
    def theirs(text): heard.append(text); return inner(text)
    sys.stdout.write = theirs
    try:
        print('both')
        c.stop()
        print('theirs')
        assert sys.stdout.write is theirs and ''.join(heard) == 'both\ntheirs\n' and log_of(tmp_path) == 'both\n'
    finally: del sys.stdout.write
    assert capsys.readouterr().out == 'both\ntheirs\n'


def test_streams_that_cannot_be_listened_to(tmp_path, monkeypatch):
    "No stream at all, or one without room for an attribute, is left alone."
    class Bare:
        __slots__ = ()
        def write(self, t): return len(t)
    monkeypatch.setattr(sys, 'stdout', None)
    monkeypatch.setattr(sys, 'stderr', Bare())
    c = Console(tmp_path).start()
    print('x', file=sys.stderr)
    c.stop()
    assert log_of(tmp_path) == ''


def test_the_caller_gets_the_streams_own_errors(capsys, tmp_path):
    "A wrong argument raises what it always raised, and is not copied."
    with Console(tmp_path), pytest.raises(TypeError): sys.stdout.write(1)
    assert log_of(tmp_path) == ''


def test_surrogates(tmp_path):
    "File names that aren't valid text can be printed without ending the copy."
    log = ConsoleLog(tmp_path/'console.log')
    log.feed('out', 'bad \udcff name\n')
    log.feed('out', 'next\n')
    log.close()
    assert log_of(tmp_path) == 'bad \\udcff name\nnext\n'


# ---- limits and failures

def test_cap(tmp_path):
    "A run that prints without end stops being copied, and the file says so."
    with Console(tmp_path, cap_mb=0.01):
        for i in range(2000): sys.stdout.write(f'line {i}\n')
    text = log_of(tmp_path)
    assert len(text) < 12_000 and 'the rest is not kept' in text.splitlines()[-1]


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_full_disk(tmp_path, capsys):
    "A full disk costs one warning; printing goes on."
    os.symlink('/dev/full', tmp_path/'console.log')
    c = Console(tmp_path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        with c:
            for i in range(3): print(i)
    assert capsys.readouterr().out == '0\n1\n2\n'
    assert len([w for w in said if 'console output' in str(w.message)]) == 1


def test_no_folder(tmp_path, capsys):
    "A run folder that is gone costs one warning, even where warnings are errors."
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with Console(tmp_path/'gone'): print('x')
    assert capsys.readouterr().out == 'x\n'


# ---- IPython

def test_kernel(tmp_path):
    "In a real kernel: several cells, a thread between cells, a subprocess, and the streams restored."
    nbformat = pytest.importorskip('nbformat')
    from nbclient import NotebookClient
    cells = [
        f'import sys, os, time, threading, logging\nlogging.basicConfig()\nfrom mlkit.track.monitor import Console\n'
        f'c = Console({str(tmp_path)!r}).start()\nprint("one")',
        'print("two")\nlogging.warning("a warning")\ngo = threading.Event()\n'
        'def late():\n    go.wait(10)\n    time.sleep(.3)\n    print("between cells")\n'
        't = threading.Thread(target=late)\nt.start()',
        'go.set()',
        'pass',
        't.join()\nawait __import__("asyncio").sleep(0)\nprint("awaited")',
        'c.stop()\nprint("not copied")',
        'print("nor this", "write" in vars(sys.stdout))']
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(nb, kernel_name='python3', timeout=60, resources=dict(metadata=dict(path=str(ROOT)))).execute()
    lines = log_of(tmp_path).splitlines()
    assert lines[:2] == ['one', 'two'], lines
    assert any('a warning' in o for o in lines) and 'between cells' in lines and lines[-1] == 'awaited'
    assert 'nor this' in nb.cells[-1].outputs[0].text
    assert 'one' in nb.cells[0].outputs[0].text


def test_interactive_shell(tmp_path):
    "In IPython without a kernel, a console started in one cell hears the next ones."
    code = '''from IPython.core.interactiveshell import InteractiveShell
s = InteractiveShell.instance()
s.run_cell('from mlkit.track.monitor import Console')
for cell in (f'c = Console({run!r}).start()\\nprint("one")', 'print("two")', 'print("three")\\nc.stop()',
             'print("four")'):
    s.run_cell(cell, store_history=True)
print('five')'''
    p = script(tmp_path, code, env={**os.environ, 'IPYTHONDIR': str(tmp_path/'ipython')})
    assert log_of(tmp_path).splitlines() == ['one', 'two', 'three'], p.stderr
    assert p.stdout.split() == ['one', 'two', 'three', 'four', 'five']


# ---- the machine

def test_sample_values(tmp_path):
    "All values are finite numbers under `sys/`; a second sample measures the time since the first."
    got = []
    m = SystemMonitor(got.append, path=tmp_path)
    end = time.monotonic() + 0.3
    while time.monotonic() < end: pass
    one = m.sample()
    assert got == [one] and all(k.startswith('sys/') and isinstance(v, float) and v == v for k, v in one.items())
    assert one['sys/process/cpu'] > 20
    time.sleep(0.3)
    two = m.sample()
    assert two['sys/process/cpu'] < one['sys/process/cpu'] and set(one) == set(two)
    assert 0 <= two['sys/disk/percent'] <= 100 and 0 < two['sys/memory/percent'] <= 100


def test_sample_never_raises(monkeypatch):
    "A failing source costs one warning and an empty sample, then works again."
    m = SystemMonitor()
    with monkeypatch.context() as mp:
        mp.setattr(monitor, 'memory', lambda: 1/0)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            assert m.sample() == {} and m.sample() == {}
        assert len(said) == 1
    assert m.sample()


def test_counters_that_go_back(monkeypatch):
    "A counter that starts anew, as after a suspended machine, counts as 0 and not as a negative rate."
    values = iter([dict(sent=100, received=100), dict(sent=5, received=200)])
    monkeypatch.setattr(monitor, 'net_io', lambda: next(values))
    m = SystemMonitor()
    s = m.sample()
    assert s['sys/net/sent_mb_s'] == 0 and s['sys/net/received_mb_s'] > 0


def test_importing_is_light():
    "The monitor needs neither psutil nor NVML nor IPython on Linux."
    code = 'import sys\nimport mlkit.track.monitor as m\nm.SystemMonitor().sample()\n' \
        'print([o for o in ("psutil", "pynvml", "IPython", "numpy", "pandas", "torch") if o in sys.modules])'
    p = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    if sys.platform == 'linux' and not os.path.exists('/dev/nvidiactl'): assert p.stdout.strip() == '[]', p.stderr
