"What `pip install` gives: the wheel has all of the package, and works where nothing of the development is."
import configparser, re, shutil, subprocess, sys, zipfile
from pathlib import Path

import pytest
from conftest import ROOT, clean_env

pytestmark = [pytest.mark.xdist_group('wheel'), pytest.mark.timeout(900)]
SOURCES = 'settings.ini setup.py pyproject.toml README.md LICENSE'.split()
TRACKED = '''
import mlkit
with mlkit.init(project='p', name='first', config=dict(lr=.1)) as run:
    for i in range(10): run.log(loss=1/(i+1))
assert run.history().shape == (10, 3), run.history()
print(mlkit.__file__)
print(mlkit.runs('p'))
'''

def run(*command, **kw)->str:
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True, **kw)
    assert r.returncode == 0, f'{command}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}'
    return r.stdout

@pytest.fixture(scope='module')
def wheel(tmp_path_factory)->Path:
    "The wheel, built from the files that a source release has."
    folder = tmp_path_factory.mktemp('wheel')
    shutil.copytree(ROOT/'mlkit', folder/'src'/'mlkit', ignore=shutil.ignore_patterns('__pycache__'))
    for o in SOURCES: shutil.copy(ROOT/o, folder/'src'/o)
    run(sys.executable, '-m', 'build', '--wheel', '--no-isolation', '--outdir', folder, folder/'src')
    return next(folder.glob('*.whl'))

def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel):
    "Subpackages, the marker for type checkers, static files; no tests, no notebooks."
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [o for o in (ROOT/'mlkit').rglob('*') if o.is_file() and '__pycache__' not in o.parts]
    ours = {o.relative_to(ROOT).as_posix() for o in files}
    assert {f'mlkit/{o}' for o in ('py.typed', '_modidx.py', 'core/files.py', 'track/run.py', 'cli/main.py')} <= ours
    assert {o for o in names if not re.match(r'mlkit_nb-[^/]+\.dist-info/', o)} == ours
    assert {f'mlkit/data/{o}.csv' for o in ('gpus', 'cuda_driver', 'cloud_prices')} <= names
    assert any(o.endswith('licenses/LICENSE') for o in names)

def test_the_metadata_is_that_of_settings_ini(wheel):
    files = zipfile.ZipFile(wheel)
    names = {o.rpartition('/')[2]: o for o in files.namelist() if '.dist-info/' in o}
    def read(name): return files.read(names[name]).decode()
    head, cfg = read('METADATA').split('\n\n')[0], configparser.ConfigParser(delimiters=['='], interpolation=None)
    cfg.read(ROOT/'settings.ini')
    cfg = cfg['DEFAULT']
    def field(name): return re.findall(rf'^{name}: (.+)$', head, re.M)
    assert field('Name') == [cfg['name']] and field('Version') == [cfg['version']]
    assert field('Requires-Python') == [f">={cfg['min_python']}"] and field('License-Expression') == [cfg['license']]
    plain = [re.sub(r'[\s"\']', '', o) for o in field('Requires-Dist') if 'extra ==' not in o]
    assert sorted(plain) == sorted(re.sub(r'["\']', '', o) for o in cfg['requirements'].split())
    assert set(field('Provides-Extra')) == {o[:-13] for o in cfg if o.endswith('_requirements')}
    points = configparser.ConfigParser(delimiters=['='])
    points.read_string(read('entry_points.txt'))
    assert dict(points['nbdev']) == {'mlkit': 'mlkit._modidx:d'}
    assert dict(points['console_scripts']) == {'mlkit': 'mlkit.cli.main:main'}

@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    "An environment that holds the wheel and what it requires, in the locked versions, and nothing else."
    venv = tmp_path_factory.mktemp('installed')/'venv'
    lock = ROOT/'requirements'/('prod.txt' if sys.version_info >= (3, 11) else 'prod-py310.txt')
    run(sys.executable, '-m', 'venv', venv)
    run(venv/'bin'/'python', '-m', 'pip', 'install', '-q', '--no-compile', '-c', lock, wheel)
    yield venv/'bin'
    shutil.rmtree(venv)                                 # most of a gigabyte, which pytest would keep for three runs

def test_a_tracked_run_works_without_any_development_dependency(installed, tmp_path):
    env = clean_env(MLKIT_STORE=tmp_path/'store')
    del env['PYTHONPATH']
    got = run(installed/'python', '-c', 'import mlkit; print(mlkit.__version__)', cwd=tmp_path, env=env)
    assert re.fullmatch(r'\d+\.\d+\.\d+\n', got)
    out = run(installed/'python', '-c', TRACKED, cwd=tmp_path, env=env)
    assert 'site-packages' in out.splitlines()[0] and 'first' in out and 'finished' in out
    assert 'first' in run(installed/'mlkit', 'runs', 'p', cwd=tmp_path, env=env)
    for o in ('nbdev', 'pytest', 'sklearn'):
        r = subprocess.run([installed/'python', '-c', f'import {o}'], capture_output=True)
        assert r.returncode, f'{o} is there'
