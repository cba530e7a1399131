"Imports run one way, from a layer to the ones below it, and inside a folder to lower numbers; the code itself says so."
import ast, json, re
from pathlib import Path

import pytest
from conftest import ROOT

ORDER = 'core track compute launch train tune ui interop cli'.split()
TENS = {'core': 0, 'track': 1, 'compute': 2, 'launch': 3, 'train': 4, 'tune': 5, 'ui': 6, 'interop': 7, 'cli': 9}
RANK = {o: 6 if o == 'interop' else i for i, o in enumerate(ORDER)}         # ui and interop stand side by side
NOTEBOOKS = sorted(o for o in (ROOT/'nbs').glob('*/*.ipynb') if o.parent.name in ORDER)
MODULES = sorted(o for o in (ROOT/'mlkit').glob('*/*.py') if o.name != '__init__.py')

def default_exp(path:Path)->str:
    "The module that a notebook is exported to."
    cells = json.loads(path.read_text())['cells']
    return re.search(r'^#\s*\|\s*default_exp\s+(\S+)', '\n'.join(''.join(c['source']) for c in cells), re.M)[1]

NUMBER = {default_exp(o): o.name.split('_')[0] for o in NOTEBOOKS}           # '04', or '04a' where 04 was taken: they sort as text

def imports(path:Path, own:str=''):
    "Yield each module of mlkit that the file of the module `own` imports, wherever in it; `mlkit` itself is ''."
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import): names = [o.name for o in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = f'mlkit.{own}'.split('.')[:-node.level] if node.level else []   # what nbdev exports
            base = '.'.join([*above, *filter(None, [node.module])])
            names = [o if (o := f'{base}.{a.name}').removeprefix('mlkit.') in NUMBER else base for a in node.names]
        else: continue
        yield from (o.removeprefix('mlkit').lstrip('.') for o in names if o == 'mlkit' or o.startswith('mlkit.'))

def test_a_notebook_is_one_module():
    "Each module has its notebook, each notebook its module, and a number of its own whose tens digit is the layer's."
    assert all(re.fullmatch('[0-9]{2}[a-z]?', o) for o in NUMBER.values()), NUMBER
    assert {o.relative_to(ROOT/'mlkit').with_suffix('').as_posix().replace('/', '.') for o in MODULES} == set(NUMBER)
    assert len(set(NUMBER.values())) == len(NOTEBOOKS)
    for o in NOTEBOOKS:
        assert int(o.name[0]) == TENS[o.parent.name] and default_exp(o) == f'{o.parent.name}.{o.stem.partition("_")[2]}', o

@pytest.mark.parametrize('path', MODULES, ids=lambda o: f'{o.parent.name}.{o.stem}')
def test_imports_run_one_way(path):
    own = f'{path.parent.name}.{path.stem}'
    for other in imports(path, own):
        if not other and path.parent.name == 'cli': continue        # the top level offers what lies below `cli`
        assert other in NUMBER, f'{own} imports mlkit{"." if other else ""}{other}, which is no module of a lower layer'
        here, there = path.parent.name, other.split('.')[0]
        down = RANK[there] < RANK[here] or (there == here and NUMBER[other] < NUMBER[own])
        assert down, f'{own} imports {other}: {NUMBER[own]} may import only what comes before it'

def test_the_test_sees_a_wrong_import(tmp_path):
    "A guard that finds nothing would look the same."
    code = 'from ..track.run import Run\nfrom . import files\nfrom .ids import x\n'
    (tmp_path/'wrong.py').write_text(code + 'def f():\n    from mlkit.cli import main\n    import mlkit, os\n')
    assert sorted(imports(tmp_path/'wrong.py', 'core.wrong')) == ['', 'cli.main', 'core.files', 'core.ids', 'track.run']
