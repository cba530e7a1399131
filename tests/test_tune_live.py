"A sweep shows itself wherever it runs, and nothing that goes wrong with the screen reaches it."
import io, os, pty, subprocess, sys, time
from types import SimpleNamespace

import pytest
from conftest import clean_env

from mlkit.tune.goal import Goals
from mlkit.tune.live import Live, headline, table
from mlkit.tune.space import choice, log_uniform
from mlkit.tune.study import Study
from mlkit.tune.trials import Row

SPACE = dict(lr=log_uniform(1e-4, 1e-1), act=choice('<b>relu</b>', '\x1b[31mgelu'))
SWEEP = '''
import time
from mlkit.tune import Study, log_uniform
def f(lr):
    time.sleep(.05)
    print('said by a trial')
    return lr
s = Study('s', dict(lr=log_uniform(1e-4, 1e-1)), 'min loss', sampler='random', track=False)
s.run(f, trials=20{more})
print(len(s), 'trials')
'''

@pytest.fixture
def study(tmp_path): return Study('s', SPACE, 'min loss', sampler='random', track=False, store=tmp_path, project='p')

def run(code, tmp_path, **env):
    path = tmp_path/'sweep.py'
    path.write_text(code)
    env = clean_env(MLKIT_STORE=tmp_path/'store', **env)
    return dict(args=[sys.executable, str(path)], env=env, cwd=tmp_path)

def in_a_terminal(code, tmp_path, **env):
    "What a terminal of 80 columns would get."
    main, side = pty.openpty()
    p = subprocess.Popen(**run(code, tmp_path, TERM='xterm', COLUMNS='80', LINES='24', **env), stdin=side, stdout=side, stderr=side)
    os.close(side)
    out = b''
    while True:
        try: got = os.read(main, 1 << 16)
        except OSError: break                                            # the other end is closed
        if not got: break
        out += got
    os.close(main)
    return p.wait(), out.decode(errors='replace')

def test_in_a_terminal_the_table_is_redrawn_and_the_cursor_comes_back(tmp_path):
    rc, out = in_a_terminal(SWEEP.format(more=''), tmp_path)
    assert rc == 0 and '20 trials' in out and out.count('said by a trial') == 20
    assert 's: 20/20 trials (20 done)' in out and 'running' in out
    assert out.rindex('\x1b[?25h') > out.rindex('\x1b[?25l')

def test_ctrl_c_in_a_terminal_says_how_to_go_on(tmp_path):
    code = SWEEP.format(more='').replace("print('said by a trial')", "if s.ledger.rows[3:]: raise KeyboardInterrupt")
    rc, out = in_a_terminal(code, tmp_path)
    assert rc and 'stopped; the same call goes on' in ' '.join(out.split())
    assert out.rindex('\x1b[?25h') > out.rindex('\x1b[?25l')

def test_in_a_file_it_is_lines(tmp_path):
    r = subprocess.run(**run(SWEEP.format(more=''), tmp_path), capture_output=True, text=True)
    said = [o for o in r.stdout.splitlines() if o != 'said by a trial']
    assert r.returncode == 0 and said[0].startswith('s: 20/20 trials (20 done) in ') and said[1:] == ['20 trials']
    assert '\x1b' not in r.stdout

@pytest.mark.parametrize('more', [', progress=False'])
def test_off_it_says_nothing(tmp_path, more):
    r = subprocess.run(**run(SWEEP.format(more=more), tmp_path), capture_output=True, text=True)
    assert set(r.stdout.splitlines()) == {'said by a trial', '20 trials'}

class Broken(io.StringIO):
    def write(self, s): raise BrokenPipeError
    def flush(self): raise ValueError('closed')

@pytest.mark.parametrize('kind', ['lines', 'terminal', 'notebook'])
def test_a_broken_screen_stops_nothing(study, kind):
    before = sys.stdout, sys.stderr
    with Live(study, 5, Broken(), kind) as live:
        live.every = .01
        study.run(lambda lr, act: lr, trials=5, progress=False)
        time.sleep(.05)
    assert len(study) == 5 and (sys.stdout, sys.stderr) == before

def test_an_error_of_the_sweep_comes_through(study):
    with pytest.raises(ZeroDivisionError), Live(study, 5, io.StringIO(), 'lines'): 1/0 # noqa: B018

def test_names_and_values_are_data(study):
    for act in study.space.dists['act'].args['values']: study.tell(study.ask(dict(lr=.1, act=act)), .1)     # each of them once
    t = table(study.ledger.refresh(), study.goals, time.time())
    assert '<b>' not in t.html() and '&lt;b&gt;relu' in t.html()
    assert '\x1b[31m' not in t.text(80, False) and 'gelu' in t.text(80, False)

def book(*rows, replaced=()): return SimpleNamespace(rows=list(rows), replaced=set(replaced))
def row(n, state='complete', **kw): return Row(n, n, state, kw.pop('params', {}), kw.pop('values', None), **kw)

def test_a_trial_that_was_tried_again_counts_once():
    two = book(row(0, 'fail'), row(1, values=[.5]), replaced=[0])
    assert headline('s', two, 2, 10., 1).startswith('s: 1/2 trials (1 done) in 10 s, about 10 s left')

def test_values_that_are_no_numbers_come_last():
    rows = [row(0, values=[float('nan')]), row(1, values=[.5]), row(2, 'fail'), row(3, values=[float('inf')]), row(4, 'running')]
    for goal, order in (('min loss', [1, 3, 0]), ('max loss', [3, 1, 0])):
        assert table(book(*rows), Goals(goal), 0.).columns[0].values[:3] == order
