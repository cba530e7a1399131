"The program `mlkit`: quick to start, documented as a whole, honest exit statuses, one line for a mistake."
import inspect, json, os, re, subprocess, sys, threading
from contextlib import suppress

import pytest
from conftest import ROOT, clean_env, until

import mlkit
from mlkit.cli import main as cli
from mlkit.track.record import records

COMMANDS = cli._commands()

@pytest.fixture
def mlkit_(store, tmp_path):
    "Call it with arguments: `mlkit ARGS` in a process of its own, giving `returncode, stdout, stderr`."
    def call(*args, **env):
        code = 'import sys; from mlkit.cli.main import main; sys.exit(main())'
        return subprocess.run([sys.executable, '-c', code, *map(str, args)], cwd=tmp_path,
            env=clean_env(MLKIT_STORE=store, **env),
            capture_output=True, text=True, timeout=90)
    return call

def make(n=3, project='digits'):
    for i in range(n):
        with mlkit.init(project, config=dict(lr=10.**-i, i=i)) as run: run.log(acc=i/10)
    return records(project)

# --- start

def test_help_loads_nothing_heavy(mlkit_):
    "`mlkit --help` imports no package that isn't in the standard library, and not the slow ones that are."
    code = "import sys; from mlkit.cli.main import main; main(['--help']); print(list(sys.modules), file=sys.stderr)"
    r = subprocess.run([sys.executable, '-S', '-c', f'import sys; sys.path.insert(0, {str(ROOT)!r}); {code}'],
        capture_output=True, text=True, check=True)
    loaded = eval(r.stderr.splitlines()[-1])
    heavy = {'numpy', 'pandas', 'torch', 'matplotlib', 'rich', 'IPython', 'psutil', 'fastcore', 'inspect', 'ast',
        'json', 'argparse', 'asyncio', 'dataclasses'}
    assert not heavy & set(loaded) and all(m == 'mlkit' or m.startswith(('mlkit.cli',
        'mlkit.__')) for m in loaded if m.split('.')[0] == 'mlkit')

@pytest.mark.parametrize('args', [['runs'], ['projects'], ['show', 'latest'], ['tag', 'latest', 'x'], ['gc',
    '--dry-run']], ids=str)
def test_light_commands_load_no_torch(store, args):
    "A command that reads run.json needs neither torch nor pandas nor matplotlib."
    make(1)
    heavy = "{'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    code = f"import sys; from mlkit.cli.main import main; main({args!r}); print({heavy}, file=sys.stderr)"
    r = subprocess.run([sys.executable, '-c', code], env=clean_env(MLKIT_STORE=store), capture_output=True, text=True,
        check=True)
    assert r.stderr.strip() == 'set()', r.stderr

# --- documentation

def test_every_command_and_option_is_documented(capsys):
    "The list has a line for every command, its help a comment for every argument and option."
    usage = cli.usage()
    for name, f in COMMANDS.items():
        assert f'  {name:10} {f.__doc__}' in usage and f.__doc__.endswith('.') and len(f.__doc__) < 100
        comments = cli._comments(f)
        text = ' '.join(cli.parser(name).format_help().split())
        for p in inspect.signature(f).parameters:
            assert comments.get(p), f'{name}: {p} has no comment'
            assert comments[p].split(' (')[0].lower() in text.lower(), f'{name}: {p}'

def test_every_command_takes_a_store():
    "`--store` works in each that reads or writes runs."
    without = {n for n, f in COMMANDS.items() if 'store' not in inspect.signature(f).parameters}
    assert without <= {'version', 'gpus', 'lock'}

# --- what it does

def test_lists(mlkit_):
    "A table, JSON, filters, order, limits, and the store before or behind the command."
    make()
    r = mlkit_('runs', 'digits', '--where', 'lr < 1', '--sort', 'acc', '--descending')
    assert r.returncode == 0 and '\x1b' not in r.stdout
    assert [line.split()[1] for line in r.stdout.splitlines()[1:3]] == ['finished']*2
    rows = json.loads(mlkit_('runs', '--json', '-n', '2').stdout)
    assert [row['config.i'] for row in rows] == [2, 1]
    assert json.loads(mlkit_('runs', 'digits', '-w', 'acc > 5', '--json').stdout) == []
    for args in (['--store', 'elsewhere', 'runs'], ['runs', '--store', 'elsewhere']):
        r = mlkit_(*args)
        assert r.returncode == 1 and r.stderr.count('\n') == 1 and 'No runs in elsewhere yet' in r.stderr

def test_show_and_diff(mlkit_):
    a, b, _ = make()
    assert 'config.lr' in mlkit_('show', a.id).stdout
    assert json.loads(mlkit_('show', 'latest', '--json').stdout)['config']['i'] == 2
    assert 'lr' in mlkit_('diff', a.id, b.id).stdout
    assert json.loads(mlkit_('diff', a.name, b.name, '--json').stdout)['config']['i'] == [2, 1]

def test_plot_writes_a_picture(mlkit_, tmp_path):
    make()
    r = mlkit_('plot', 'digits', 'acc', '-o', 'a.png', '--group', 'lr', DISPLAY='')
    assert (r.returncode, r.stdout) == (0, 'wrote a.png\n') and (tmp_path/'a.png').read_bytes()[:4] == b'\x89PNG'

def test_a_life_of_runs(mlkit_, tmp_path):
    "Tag, note, rename, archive, delete, restore, export, import, gc: each does what its function does, and says so."
    c, b, a = make()
    def ok(*args):
        r = mlkit_(*args)
        assert r.returncode == 0 and not r.stderr, r
        return r.stdout
    assert ok('tag', a.id, 'x', 'y').startswith('tags are now x, y: ') and ok('tag', a.id, '--remove',
        'x').startswith('tags are now y: ')
    ok('note', a.id, 'hello'), ok('note', a.id, 'again', '--append'), ok('rename', a.id, 'new name')
    assert (a.tags, a.notes, a.name) == (('y',), 'hello\nagain', 'new name')
    ok('archive', 'new name')
    assert len(json.loads(ok('runs', '--json'))) == 2 and len(json.loads(ok('runs', '--archived', '--json'))) == 3
    ok('archive', 'new name', '--undo'), ok('delete', a.id, b.id)
    assert len(records()) == 1
    ok('restore', 'new name')
    assert 'would be freed' in ok('gc', '--dry-run') and json.loads(ok('gc',
        '--json'))['trash'].keys() == {f'digits/{b.id}'}
    assert ok('export', 'all.json') == 'wrote all.json\n' and ok('import', 'all.json', '--project',
        'copy').count('imported copy/') == 2
    assert 'copy' in ok('projects') and json.loads(ok('projects', '--json')) == ['copy', 'digits']
    assert ok('version') == f'mlkit {mlkit.__version__}\n' == ok('--version')

def test_following_a_run(script, mlkit_, tmp_path):
    "console and tail show a live run until it ends."
    p = script.start("""
        import mlkit, time, os
        run = mlkit.init('digits', 'live')
        for i in range(5): print('epoch', i, flush=True); run.log(acc=i/10)
        while not os.path.exists('stop'): time.sleep(.01)
        print('the end', flush=True); run.log(acc=.99); run.finish()""", MLKIT_CONSOLE='1')
    until(lambda: any(len(r.metrics) for r in records()))
    code = 'import sys; from mlkit.cli.main import main; sys.exit(main())'
    def follow(*args): return subprocess.Popen([sys.executable, '-c', code, *args], cwd=tmp_path,
        env=clean_env(MLKIT_STORE=script.store),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    a, b = follow('console', 'live', '--follow'), follow('tail', 'live', '--follow')
    b.stdout.readline()
    (tmp_path/'stop').touch()
    assert script.wait(p).rc == 0
    out, rows = a.communicate(timeout=60)[0], b.communicate(timeout=60)[0]
    assert a.returncode == b.returncode == 0
    assert out.count('epoch') == 5 and out.count('the end') == 1 and '0.99' in rows
    assert mlkit_('console', 'live', '-n', '1').stdout.strip() == 'the end' and '0.99' in mlkit_('tail', 'live',
        '--rows', '1').stdout

# --- mistakes

@pytest.mark.parametrize('args,said', [(['show', 'nobody'], "No run 'nobody'"), (['runs', 'digit'],
    "No project 'digit'"), (['runs', '../x'], 'starts with a dot'),
    (['runs', '--where', 'lr <'], "Can't read the condition"), (['runs', '--where', 'zzz > 1'],
        "No 'zzz' here"), (['runs', '--sort', 'zzz'], "No 'zzz' here"),
    (['plot', 'digits', 'zzz'], "No 'zzz' here"), (['plot', 'digits', 'acc', '-o', 'a.nonsense'],
        'nonsense'), (['plot', 'digits', 'acc', '-o', '/no/where.png'], 'No such file'),
    (['export', 'x.xlsx'], "choose from: .json"), (['import', 'nothing.json'], 'No such file'), (['restore', 'x'],
        "No run 'x'"), (['delete', 'nobody'], "No run 'nobody'"),
    (['rename', 'latest', ' '], 'on one line'), (['diff', 'latest', '/etc/passwd'], 'holds a slash')], ids=str)
def test_a_mistake_is_one_line(mlkit_, args, said):
    "Exit status 1, nothing on stdout, one line that says what to do on stderr, no traceback."
    make(1)
    r = mlkit_(*args)
    assert (r.returncode, r.stdout) == (1, '') and said in r.stderr, r
    assert r.stderr.startswith('mlkit: ') and r.stderr.count('\n') == 1, r

@pytest.mark.parametrize('args', [['rums'], ['show'], ['runs', '--nonsense'], ['runs', '-n', 'many'], ['plot',
    'digits']], ids=str)
def test_what_cannot_be_understood_gives_2(mlkit_, args):
    r = mlkit_(*args)
    assert r.returncode == 2 and r.stdout == '' and 'Traceback' not in r.stderr

def test_names_from_a_store_cannot_steer_the_terminal(mlkit_, store):
    "A message that quotes a hostile name shows it without its control characters."
    r, = make(1)
    meta = json.loads((r.path/'run.json').read_text())
    (r.path/'run.json').write_text(json.dumps({**meta, 'name': '\x1b[31mred\n'}))
    for args in (['show', 'nobody'], ['runs'], ['show', 'latest'], ['tag', 'latest', 'a'], ['delete', 'latest']):
        out = mlkit_(*args)
        assert '\x1b' not in out.stdout + out.stderr

@pytest.mark.skipif(os.name != 'posix', reason='a POSIX pipe')
def test_a_closed_pipe_is_no_error(store):
    "`mlkit runs | head -1` ends quietly."
    for i in range(60):
        (store/'p'/f'r{i}').mkdir(parents=True)
        (store/'p'/f'r{i}'/'run.json').write_text(json.dumps(dict(name='x'*60, notes='y'*5000, status='finished')))
    code = f'{sys.executable} -c "import sys; from mlkit.cli.main import main; sys.exit(main())" runs --json -n 100'
    r = subprocess.run(['bash', '-c', f'set -o pipefail; {code} | head -c 10'], env=clean_env(MLKIT_STORE=store),
        capture_output=True, text=True)
    assert (r.returncode, r.stderr) == (0, '')

def test_debug_shows_where_a_mistake_came_from(mlkit_):
    assert 'Traceback' in mlkit_('show', 'nobody', MLKIT_DEBUG='1').stderr

# --- odd arguments

@pytest.mark.parametrize('args', [['runs', '-n', '-1'], ['console', 'latest', '-n', '-3'], ['tail', 'latest', '-n', '-1']], ids=str)
def test_a_negative_number_of_rows_is_a_mistake(mlkit_, args):
    make(1)
    r = mlkit_(*args)
    assert (r.returncode, r.stdout) == (1, '') and 'is no number of rows' in r.stderr and r.stderr.count('\n') == 1

@pytest.mark.parametrize('command', ['projects', 'runs', 'gc'])
def test_a_file_is_no_store(mlkit_, tmp_path, command):
    (tmp_path/'file').touch()
    r = mlkit_(command, '--store', tmp_path/'file')
    assert (r.returncode, r.stdout) == (1, '') and 'is a file; a store is a folder' in r.stderr

def test_a_picture_through_a_pipe(store, tmp_path):
    "`-o -` writes a PNG and nothing else; no file of that name appears."
    make(2)
    call = [sys.executable, '-c', 'import sys; from mlkit.cli.main import main; sys.exit(main())', 'plot', 'digits', 'acc', '-o', '-']
    r = subprocess.run(call, cwd=tmp_path, env=clean_env(MLKIT_STORE=store), capture_output=True)
    assert r.returncode == 0 and r.stdout.startswith(b'\x89PNG') and not list(tmp_path.glob('-*'))

def test_the_last_lines(mlkit_):
    "Whole lines, the last with its newline; none for 0, and all when there are fewer."
    r, = make(1)
    (r.path/'console.log').write_text('a\x0cb\nc\n\nd\n')
    assert [mlkit_('console', 'latest', '-n', n).stdout for n in (0, 1, 2, 9)] == ['', 'd\n', '\nd\n', 'a·b\nc\n\nd\n']
    (r.path/'console.log').write_text('torn')
    assert mlkit_('console', 'latest').stdout == 'torn\n'

@pytest.mark.skipif(os.name != 'posix', reason='a POSIX terminal')
@pytest.mark.parametrize('terminal', [False, True])
def test_following_a_progress_bar(script, store, tmp_path, terminal):
    "A bar that is redrawn in console.log is redrawn in a terminal; behind a pipe no state of it is cut or glued to another."
    import pty
    bar = script.start("""
        import mlkit, time, sys, os
        run = mlkit.init('digits', 'bar')
        print('start', flush=True)
        i = 0
        while not os.path.exists('stop'):
            i += 1
            print(f'\\rbatch {i:9}', end='', flush=True)
            time.sleep(.1)
        print('\\nthe end', flush=True)
        run.finish()""", MLKIT_CONSOLE='1')
    until(lambda: records() and 'batch' in records()[0].console())
    ours, theirs = pty.openpty() if terminal else os.pipe()
    call = [sys.executable, '-c', 'import sys; from mlkit.cli.main import main; sys.exit(main())', 'console', 'bar', '--follow']
    env = clean_env(MLKIT_STORE=store, TERM='xterm', COLUMNS=80)
    p = subprocess.Popen(call, env=env, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    got, first = b'', records()[0].console()
    until(lambda: records()[0].console() != first)
    until(lambda: records()[0].console() != first)
    threading.Timer(3, (tmp_path/'stop').touch).start()
    with suppress(OSError):                                                # a terminal ends with an error
        while part := os.read(ours, 65536): got += part
    assert p.wait(60) == 0 and script.wait(bar).rc == 0, p.stderr.read()
    text = got.decode().replace('\r\n', '\n')
    shown = text
    while m := re.search(r'\x1b\[(\d+)A\x1b\[J', shown):                    # what a terminal makes of it: so many lines up, and clear
        shown = ''.join(shown[:m.start()].splitlines(keepends=True)[:-int(m[1])]) + shown[m.end():]
    lines = shown.splitlines()
    assert lines[0] == 'start' and lines[-1] == 'the end' and shown.count('start') == shown.count('the end') == 1
    assert all(re.fullmatch(r'batch +\d+', o) for o in lines[1:-1]) and len(lines) >= 3
    if terminal: assert len(lines) == 3 and '\x1b[1A' in text
