"What a run remembers, against real repositories, real processes and a real kernel."
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from mlkit.core.secrets import mask_argv, mask_text, secret_file
from mlkit.core.values import MASK
from mlkit.track import capture
from mlkit.track.capture import CellLog, capture_code, capture_env, capture_hardware, git_state, packages
from mlkit.track.record import read_cells

ROOT = Path(__file__).resolve().parent.parent
GIT = ('git', '-c', 'user.name=A', '-c', 'user.email=a@example.com', '-c', 'protocol.file.allow=always', '-C')


def git(repo, *args): return subprocess.run([*GIT, str(repo), *args], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repo(tmp_path):
    r = tmp_path/'repo'
    (r/'src').mkdir(parents=True)
    git(r, 'init', '-q', '-b', 'main')
    (r/'src'/'model.py').write_text('layers = 2\n')
    (r/'train.py').write_text('lr = 1\n')
    (r/'.gitignore').write_text('ignored/\n*.log\n')
    git(r, 'add', '.')
    git(r, 'commit', '-qm', 'first')
    return r


@pytest.fixture
def run(tmp_path):
    (tmp_path/'run').mkdir()
    return tmp_path/'run'


def tree(run): return sorted(p.relative_to(run).as_posix() for p in Path(run).rglob('*') if p.is_file())
def left(run): return {o['path']: o['why'] for o in json.loads((run/'code'/'left_out.json').read_text())}


def script(code, cwd, *args, **env):
    "Run `code` as the script `train.py` in `cwd`; its last line of output as JSON."
    p = Path(cwd)/'train.py'
    p.write_text(code)
    e = {**os.environ, 'PYTHONPATH': str(ROOT), **env}
    r = subprocess.run([sys.executable, str(p), *args], cwd=cwd, capture_output=True, text=True, timeout=60, env=e)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout.splitlines()[-1])


# ---- git

def test_clean_repository(repo, run):
    "A clean tree needs the commit and nothing else."
    d = capture_code(run, start=repo)
    assert d['commit'] == git(repo, 'rev-parse', 'HEAD').strip() and d['branch'] == 'main' and d['dirty'] is False
    assert not (run/'code'/'diff.patch').exists() and not (run/'code'/'files').exists()


def test_the_patch_brings_the_code_back(repo, run, tmp_path):
    "Commit, patch and copied files give exactly the tree that ran: changed, staged, renamed, deleted, new, odd names."
    for n, t in {'src/model.py': 'layers = 3\n', 'src/neu ünd ödd.py': 'a = 1\n', 'q"uote.py': 'q = 1\n',
                 'new/deep/x.yaml': 'a: 1\n', 'staged.py': 's = 1\n'}.items():
        (repo/n).parent.mkdir(parents=True, exist_ok=True)
        (repo/n).write_text(t)
    git(repo, 'add', 'staged.py')
    git(repo, 'mv', 'train.py', 'main.py')
    d = capture_code(run, start=repo)
    assert d['dirty'] is True
    again = tmp_path/'again'
    git(tmp_path, 'clone', '-q', str(repo), str(again))
    git(again, 'checkout', '-q', d['commit'])
    git(again, 'apply', str(run/'code'/'diff.patch'))
    for p in tree(run/'code'/'files'):
        (again/p).parent.mkdir(parents=True, exist_ok=True)
        (again/p).write_bytes((run/'code'/'files'/p).read_bytes())
    def of(r): return {p: (r/p).read_bytes() for p in tree(r) if not p.startswith('.git/')}
    assert of(again) == of(repo)


def test_ignored_files_stay_out(repo, run):
    "What git ignores is not source, and neither are data and environments."
    for n in ('ignored/a.py', 'a.log', 'venv/lib/site-packages/x.py', 'data.bin', 'photo.jpg', '__pycache__/m.py'):
        (repo/n).parent.mkdir(parents=True, exist_ok=True)
        (repo/n).write_text('x')
    capture_code(run, start=repo)
    assert not (run/'code'/'files').exists()


def test_repository_without_a_commit(tmp_path, run):
    "Before the first commit there is no diff; the files are copied."
    r = tmp_path/'young'
    r.mkdir()
    git(r, 'init', '-q', '-b', 'main')
    (r/'a.py').write_text('a = 1\n')
    d = capture_code(run, start=r)
    assert d['commit'] is None and d['branch'] == 'main' and d['dirty'] is True and 'code/files/a.py' in tree(run)


def test_detached_head_worktree_and_subfolder(repo, run, tmp_path):
    "A worktree's `.git` is a file, a detached head has no branch, and a folder deep inside finds the top."
    git(repo, 'worktree', 'add', '-q', '--detach', str(tmp_path/'tree'))
    (tmp_path/'tree'/'src'/'model.py').write_text('layers = 4\n')
    d = capture_code(run, start=tmp_path/'tree'/'src')
    assert d['branch'] is None and d['dirty'] is True and 'layers = 4' in (run/'code'/'diff.patch').read_text()


def test_submodule_and_binary(repo, run, tmp_path):
    "A submodule and a changed binary file don't break the patch."
    other = tmp_path/'other'
    other.mkdir()
    git(other, 'init', '-q')
    (other/'o.py').write_text('o = 1\n')
    git(other, 'add', '.'), git(other, 'commit', '-qm', 'o')
    git(repo, 'submodule', 'add', '-q', str(other), 'sub')
    (repo/'w.bin').write_bytes(b'\0\1')
    git(repo, 'add', '.'), git(repo, 'commit', '-qm', 'sub')
    (repo/'w.bin').write_bytes(b'\0\2')
    (repo/'sub'/'o.py').write_text('o = 2\n')
    assert capture_code(run, start=repo)['dirty'] is True
    assert 'w.bin' in (run/'code'/'diff.patch').read_text()


def test_no_git_program(repo, run, monkeypatch):
    "Without git the rest is captured, and nothing is claimed about the tree."
    monkeypatch.setenv('PATH', '/nowhere')
    d = capture_code(run, start=repo)
    assert d['commit'] is None and d['dirty'] is None and d['argv']
    assert git_state(repo) == {}


def test_a_git_that_hangs(repo, tmp_path, monkeypatch):
    "A git that never answers is killed with its children, so capture ends."
    fake = tmp_path/'bin'/'git'
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nsleep 60\n')
    fake.chmod(0o755)
    monkeypatch.setenv('PATH', str(fake.parent), prepend=os.pathsep)
    t = time.monotonic()
    assert capture._git(repo, 'status', seconds=.3) is None
    assert time.monotonic() - t < 20


def test_the_repository_runs_no_program(repo, run, tmp_path, monkeypatch):
    "Hooks into git's commands, and the environment of another repository, are not followed."
    trap = tmp_path/'trap'
    for k in ('core.fsmonitor', 'diff.external'): git(repo, 'config', k, f'touch {trap}')
    git(repo, 'config', 'diff.py.textconv', f'touch {trap}; cat')
    (repo/'.gitattributes').write_text('*.py diff=py\n')
    (repo/'src'/'model.py').write_text('layers = 5\n')
    monkeypatch.setenv('GIT_DIR', str(tmp_path/'elsewhere'))
    monkeypatch.setenv('GIT_EXTERNAL_DIFF', f'touch {trap}')
    d = capture_code(run, start=repo)
    assert d['commit'] and not trap.exists() and 'layers = 5' in (run/'code'/'diff.patch').read_text()


def test_the_index_is_not_written(repo, run):
    "Capturing takes no lock of git: the user's own git command never finds one."
    (repo/'.git'/'index.lock').write_text('')
    before = (repo/'.git'/'index').stat().st_mtime_ns
    (repo/'src'/'model.py').write_text('layers = 2\n')
    assert capture_code(run, start=repo)['commit']
    assert (repo/'.git'/'index').stat().st_mtime_ns == before


# ---- limits

def test_limits_and_what_was_left_out(repo, run):
    "Large files, large diffs and too many files stay out and are listed."
    (repo/'big.py').write_text('#'*300_000)
    (repo/'src'/'model.py').write_text('x = 1\n'*100_000)
    (repo/'train.py').write_text('lr = 2\n')
    for i in range(600): (repo/f'f{i:03}.py').write_text('')
    capture_code(run, start=repo)
    why = left(run)
    assert why['big.py'] == 'size' and why['src/model.py'] == 'size'
    assert 'lr = 2' in (run/'code'/'diff.patch').read_text() and 'model.py' not in (run/'code'/'diff.patch').read_text()
    assert len(tree(run/'code'/'files')) == 500 and sum(v == 'size of all' for v in why.values()) == 100
    total = sum((run/p).stat().st_size for p in tree(run))
    assert total < 3 * 1024 * 1024


def test_notebooks_are_copied_without_outputs(repo, run):
    "A new notebook with megabytes of pictures is its code."
    cell = dict(cell_type='code', source=['x = 1'], outputs=[dict(data='A'*2_000_000)], metadata={}, execution_count=1)
    (repo/'n.ipynb').write_text(json.dumps(dict(cells=[cell], metadata={}, nbformat=4, nbformat_minor=5)))
    capture_code(run, start=repo)
    nb = json.loads((run/'code'/'files'/'n.ipynb').read_text())
    assert nb['cells'][0]['source'] == ['x = 1'] and nb['cells'][0]['outputs'] == []


def test_links_and_pipes_are_not_followed(repo, run, tmp_path):
    "A link could lead anywhere, and a pipe would never end."
    (tmp_path/'outside.py').write_text('private')
    os.symlink(tmp_path/'outside.py', repo/'link.py')
    os.symlink(tmp_path, repo/'folder')
    os.mkfifo(repo/'pipe.py')
    capture_code(run, start=repo)
    assert all('private' not in (run/p).read_text() for p in tree(run))
    assert left(run)['link.py'] == 'no plain file'


def test_unreadable_file(repo, run):
    "A file that can't be read, or that goes away, is listed and not an error."
    assert capture._copy(repo, ['gone.py'], run/'x', 100, 100) == [dict(path='gone.py', why='no plain file')]


def test_a_resumed_run_keeps_the_code_of_its_first_session(repo, run):
    "The second session's code goes to a folder of its own."
    (repo/'a.py').write_text('a = 1\n')
    capture_code(run, start=repo)
    (repo/'a.py').write_text('a = 2\n')
    capture_code(run, start=repo)
    assert (run/'code'/'files'/'a.py').read_text() == 'a = 1\n'
    assert (run/'code'/'session-2'/'files'/'a.py').read_text() == 'a = 2\n'


def test_nowhere_to_write(repo, tmp_path):
    "A run folder that is gone costs a warning each, also where warnings are errors; nothing raises."
    for fn in (lambda: capture_code(tmp_path/'gone'/'x'/'\0', start=repo), lambda: capture_env(tmp_path/'gone')):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter('always')
            assert fn() == {}
        assert len(said) == 1
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert fn() == {}


# ---- secrets

def test_secrets_never_reach_the_disk(repo, run):
    "Keys in changed lines, new files, scripts and secret files."
    key, password = 'sk-' + 'a1B2'*10, 'correct-horse-battery'
    (repo/'src'/'model.py').write_text(f'client = Client("{key}")\npassword = "{password}"\n')
    (repo/'conf.yaml').write_text(f'api_key: {key}\ndb: postgres://me:{password}@host/db\n')
    for n in '.env id_rsa server.pem credentials.json my.secrets.yaml'.split(): (repo/n).write_text(key + password)
    (repo/'secrets.toml').write_text('a')
    git(repo, 'add', 'secrets.toml'), git(repo, 'commit', '-qm', 's')
    (repo/'secrets.toml').write_text(password)
    capture_code(run, start=repo)
    text = '\n'.join((run/p).read_text() for p in tree(run))
    assert key not in text and password not in text and MASK in text
    assert left(run)['secrets.toml'] == 'secret' and left(run)['credentials.json'] == 'secret'


@pytest.mark.parametrize('code', [
    'tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased")', 'pad_token = "<|endoftext|>"',
    'key = "layer_1_attention_out_weight"',
    'password = getpass.getpass()', 'token = tokens[0]', 'secret = rng.integers(10)', 'api_key = os.environ["API_KEY"]',
    'd = {"key": "train/loss_epoch_10_mean"}', 'for key, value in config.items(): pass',
    'url = "https://example.com/a:b@c"'])
def test_ordinary_code_is_not_masked(code):
    "Masking must not spoil the code that a run was made with."
    assert mask_text(code) == code


@pytest.mark.parametrize('secret, code', [
    ('hunter2', 'password="hunter2"'), ('hunter22', "os.environ['DB_PASSWORD'] = 'hunter22'"),
    ('abc123def', 'api_key: abc123def'),
    ('d41d8cd98f00b204e9800998ecf8427e', 'login(key="d41d8cd98f00b204e9800998ecf8427e")'),
    ('s3cret', 'redis://:s3cret@host:6379'),
    ('MIIE', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----'),
    ('AKIA' + 'A1'*8, 'x = "AKIA' + 'A1'*8 + '"'),
    ('ghp_' + 'a1'*20, '+token: ghp_' + 'a1'*20), ('abcdefgh', '"client_secret": "abcdefgh"')])
def test_secrets_in_text(secret, code): assert secret not in mask_text(code)


def test_masking_is_linear():
    "A pattern that backtracks would stop the program for minutes on one long line."
    for part in ('password', 'key="', 'a:', '://', 'eyJ', '-----BEGIN ', '"'*3, 'A1'):
        t = time.process_time()
        mask_text(part*20_000)
        assert time.process_time() - t < 20, part


def test_argv():
    "Every usual way to hand a secret to a program, and none that isn't one."
    plain = '--api-key X1 --token=X2 model.api_key=X3 -p 1 --db-password X4 --pad-id 0'
    assert mask_argv(plain.split()) == re.sub(r'X\d', lambda _: MASK, plain).split()
    assert mask_argv(['--url', 'https://u:pw@h/x']) == ['--url', f'https://u:{MASK}@h/x']


def test_secret_files():
    yes = '.env prod.env .env.local id_rsa id_ed25519.pub a.pem b.key .netrc .npmrc .pypirc ' \
        'credentials.json token.txt client_secret_12.json'
    no = 'train.py tokenizer.json special_tokens_map.json tokens.py secret_santa.py environment.yml monkey.py keys.py'
    assert [n for n in yes.split() if not secret_file(f'a/{n}')] == []
    assert [n for n in no.split() if secret_file(n)] == []


# ---- scripts

SCRIPT = '''import json, os, sys, tempfile
from mlkit.track.capture import *
run = tempfile.mkdtemp(dir=os.environ["RUNS"])
d = capture_code(run)
d['run'] = run
print(json.dumps(d))'''


def test_script(repo, tmp_path):
    "A script's entry, arguments and folder are relative to its repository, and the script is copied."
    d = script(SCRIPT, repo/'src', '--lr', '1', '--token', 'abc', RUNS=str(tmp_path))
    assert (d['entry'], d['cwd']) == ('src/train.py', 'src') and d['argv'][1:] == ['--lr', '1', '--token', MASK]
    assert (Path(d['run'])/'code'/'train.py').read_text() == SCRIPT


def test_script_without_git(tmp_path):
    "Without a repository the script and the modules that it imported from its folder are kept, and no others."
    (tmp_path/'proj'/'pkg').mkdir(parents=True)
    (tmp_path/'proj'/'pkg'/'net.py').write_text('n = 1\n')
    (tmp_path/'proj'/'other.py').write_text('never imported')
    d = script('import pkg.net\n' + SCRIPT, tmp_path/'proj', RUNS=str(tmp_path))
    assert d['commit'] is None and d['dirty'] is None
    files = tree(Path(d['run'])/'code')
    assert 'train.py' in files and 'files/pkg/net.py' in files and 'files/other.py' not in files


def test_long_command_line(repo, tmp_path):
    "run.json stays small; env.json has all arguments."
    code = SCRIPT.replace('print(', 'd["all"] = capture_env(run)["argv"]\nprint(')
    d = script(code, repo, *(f'file{i}.npz' for i in range(1000)), RUNS=str(tmp_path))
    assert len(' '.join(d['argv'])) < 1100 and d['argv'][-1] == '…' and len(d['all']) == 1001


def test_no_heavy_imports_and_no_torch(repo, tmp_path):
    "Capturing imports nothing that a small run doesn't need."
    code = SCRIPT.replace('print(', 'capture_env(run), capture_hardware()\nd["mods"] = list(sys.modules)\nprint(')
    mods = set(script(code, repo, RUNS=str(tmp_path))['mods'])
    assert not mods & set('torch numpy pandas psutil pynvml IPython matplotlib importlib.metadata fastcore'.split())


# ---- environment

def test_packages_agree_with_their_metadata():
    "Names of folders give what reading all metadata gives."
    want = {}
    for d in importlib.metadata.distributions():
        want.setdefault(re.sub(r'[-_.]+', '-', d.metadata['Name']).lower(), d.version)
    got = packages()
    assert set(got) == set(want)
    norm = importlib.import_module('packaging.version').Version
    assert {k: v for k, v in got.items() if norm(v) != norm(want[k])} == {}


def test_environment_is_an_allow_list(run, monkeypatch):
    "Only what is on the list is written, whatever else there is."
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    monkeypatch.setenv('MY_PRIVATE_THING', 'xyzzy')
    monkeypatch.setenv('HF_TOKEN', 'xyzzy')
    env = capture_env(run)
    assert env['env']['OMP_NUM_THREADS'] == '3' and 'xyzzy' not in (run/'env.json').read_text()
    assert str(Path.home()) not in json.dumps(env['python'])


def test_hardware():
    h = capture_hardware()
    assert h['cores'] > 0 and h['memory_gb'] > 0 and isinstance(h['gpus'], list) and h['cpu']


# ---- cells

def shell():
    from IPython.core.interactiveshell import InteractiveShell
    return InteractiveShell()


def test_cells_in_a_shell(run):
    "Cells before and after the start, in order, with errors and repeats, and none that the front end ran for itself."
    s = shell()
    def go(code, **kw): return s.run_cell(code, store_history=True, **kw)
    go('a = 1')
    log = CellLog(run, shell=s).start()
    go('b = 2')
    s.run_cell('hidden = 1', store_history=False)
    go('quiet = 1', silent=True)
    go('1/0')
    go('b = 2')
    go('this is no python')
    go('%time c = 3')
    go('   ')
    go('d = 4', cell_id='abc') if 'cell_id' in s.run_cell.__code__.co_varnames else go('d = 4')
    log.stop()
    log.stop()
    go('after = 1')
    cells = read_cells(run)
    want = ['a = 1', 'b = 2', '1/0', 'b = 2', 'this is no python', '%time c = 3', 'd = 4']
    assert [c['source'] for c in cells] == want
    assert [c['n'] for c in cells] == sorted({c['n'] for c in cells})
    assert [bool(c['error']) for c in cells] == [False, False, True, False, True, False, False]
    assert 'ZeroDivisionError' in cells[2]['error'] and cells[-1]['id'] in ('abc', None)
    assert cells[0]['time'] is None and cells[1]['time'] and cells[1]['seconds'] >= 0


def test_the_cell_that_kills_the_kernel_is_there(run):
    "A cell is written when it starts, so what ran at the end of a killed kernel is known."
    code = f'''import os
from IPython.core.interactiveshell import InteractiveShell
from mlkit.track.capture import CellLog
s = InteractiveShell.instance()
s.run_cell('x = 1', store_history=True)
CellLog({str(run)!r}).start()
s.run_cell('import os; os.kill(os.getpid(), 9)', store_history=True)'''
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, env={**os.environ, 'IPYTHONDIR': str(run/'ipython')})
    assert [c['source'] for c in read_cells(run)] == ['x = 1', 'import os; os.kill(os.getpid(), 9)']


def test_cells_never_break_a_cell(run, capsys):
    "A log whose folder vanishes, or whose limit is spent, costs one warning and no cell."
    import shutil
    s = shell()
    log = CellLog(run, shell=s).start()
    shutil.rmtree(run)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        assert all(s.run_cell(f'x = {i}', store_history=True).success for i in range(3))
    log.stop()
    assert len([w for w in said if 'cells' in str(w.message)]) == 1
    assert 'Error in callback' not in capsys.readouterr().out


def test_cells_limit_and_secrets(run):
    "A cell with a secret is masked, and the file has a limit."
    s = shell()
    with_key = 'key = "sk-' + 'a1'*20 + '"'
    log = CellLog(run, shell=s, max_kb=20).start()
    s.run_cell(with_key, store_history=True)
    for i in range(100): s.run_cell(f'x{i} = "' + 'a'*1000 + '"', store_history=True)
    log.stop()
    text = (run/'code'/'cells.jsonl').read_text()
    assert 'sk-a1' not in text and len(text) < 25_000


def test_old_ipython_callbacks(run):
    "Versions that call without an argument only cost the details."
    s = shell()
    log = CellLog(run, shell=s).start()
    log._pre()
    log._post()
    log.stop()
    assert read_cells(run) == []


def test_no_ipython(run):
    "In a script nothing happens."
    CellLog(run).start().stop()
    assert tree(run) == []


def test_two_logs_and_a_resumed_run(run, tmp_path):
    "Two runs of one notebook each get all cells; a run that goes on in another session keeps the cells of the first."
    s, other = shell(), tmp_path/'other'
    other.mkdir()
    s.run_cell('a = 1', store_history=True)
    one = CellLog(run, shell=s).start()
    s.run_cell('b = 2', store_history=True)
    two = CellLog(other, shell=s).start()
    s.run_cell('c = 3', store_history=True)
    one.stop(), two.stop()
    for r in (run, other): assert [c['source'] for c in read_cells(r)] == ['a = 1', 'b = 2', 'c = 3']
    t = shell()
    t.run_cell('z = 1', store_history=True)
    CellLog(run, shell=t).start().stop()
    assert [c['source'] for c in read_cells(run)] == ['a = 1', 'b = 2', 'c = 3', 'z = 1']


def test_kernel(run, tmp_path):
    "In a real kernel: the cells so far, the one that starts the log, later ones with errors, the notebook's path."
    nbformat = pytest.importorskip('nbformat')
    from nbclient import NotebookClient
    cells = ['lr = 0.1', f'from mlkit.track.capture import *\nlog = CellLog({str(run)!r}).start()\n'
             f'd = capture_code({str(run)!r})\nprint(d["entry"])',
             'import time\ntime.sleep(.2)', '1/0', 'await __import__("asyncio").sleep(0)', 'log.stop()', 'after = 1']
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    path = ROOT/'nbs'/'explore.ipynb'
    here = dict(metadata=dict(path=str(ROOT)))
    client = NotebookClient(nb, kernel_name='python3', timeout=60, allow_errors=True, resources=here)
    client.execute(env={**os.environ, 'JPY_SESSION_NAME': str(path), 'IPYTHONDIR': str(tmp_path/'ipython')})
    got = read_cells(run)
    assert [c['source'] for c in got] == cells[:6]
    assert [c['n'] for c in got] == list(range(1, 7))
    assert got[2]['seconds'] >= 0.2 and 'ZeroDivisionError' in got[3]['error'] and got[4]['error'] is None
    assert nb.cells[1].outputs[0].text.strip() == 'nbs/explore.ipynb'
