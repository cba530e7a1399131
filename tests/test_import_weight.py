"What a user pays for who only wants to log: importing, asking for help and logging load nothing heavy."
import subprocess, sys

import pytest
from conftest import ROOT, clean_env

HEAVY = 'torch pandas matplotlib numpy scipy sklearn pyarrow optuna IPython ipywidgets nbformat'.split()
REPORT = f"\nimport sys; print('LOADED', *[o for o in {HEAVY!r} if o in sys.modules])"
HELP = '''
import contextlib, io, sys
from mlkit.cli.main import main
sys.argv = ['mlkit', '--help']
with contextlib.redirect_stdout(io.StringIO()) as out:
    try: main()
    except SystemExit as e: assert not e.code, e.code
assert 'runs' in out.getvalue()
'''
LOG = '''
import mlkit
with mlkit.init(project='p', config=dict(lr=.1)) as run:
    for i in range(100): run.log(loss=1/(i+1), acc=.5)
'''

def loaded(code:str, tmp_path, **env)->list[str]:
    "The heavy packages that a fresh interpreter has after `code`."
    command = [sys.executable, '-c', code + REPORT]
    r = subprocess.run(command, cwd=tmp_path, env=clean_env(**env), capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout.rpartition('LOADED')[2].split()

@pytest.mark.parametrize('code', ['import mlkit', 'import mlkit.tune', HELP], ids=['import', 'tune', 'help'])
def test_loads_nothing_heavy(code, tmp_path): assert loaded(code, tmp_path) == []

def test_logging_loads_nothing_heavy(tmp_path):
    "With everything that a run remembers switched on, as a user has it."
    on = {f'MLKIT_{o}': '1' for o in ('CODE', 'CONSOLE', 'SYSTEM', 'PACKAGES')}
    assert loaded(LOG, tmp_path, MLKIT_STORE=tmp_path/'store', **on) == []

def test_the_top_level_names_work_and_are_what_editors_see():
    "Names arrive on first use; the twin for editors lists the same."
    import ast

    import mlkit
    for name in set(mlkit.__all__) - {'run', 'config', 'summary'}: assert getattr(mlkit, name) is not None
    assert set(mlkit.__all__) <= set(dir(mlkit))
    with pytest.raises(AttributeError, match='no_such_name'): _ = mlkit.no_such_name
    body = ast.parse((ROOT/'mlkit'/'__init__.py').read_text()).body
    twin = next(o for o in body if isinstance(o, ast.If) and getattr(o.test, 'id', '') == 'TYPE_CHECKING')
    seen = {a.asname or a.name for o in ast.walk(twin) if isinstance(o, ast.ImportFrom) for a in o.names}
    seen |= {o.target.id for o in twin.body if isinstance(o, ast.AnnAssign)}
    assert seen - {'Any'} == set(mlkit.__all__) - {'__version__'}
