"The repository agrees with itself: versions, dependencies and their reasons, locks, README."
import ast, configparser, hashlib, json, re, sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT/'tools'))
import readme

LOCKS = sorted((ROOT/'requirements').glob('*.txt'))
PIN = re.compile(r'([A-Za-z0-9._-]+)==([0-9][\w.]*)( ; [^;]+)?')

def settings()->dict:
    "The distribution's metadata."
    cfg = configparser.ConfigParser(delimiters=['='], interpolation=None)
    cfg.read(ROOT/'settings.ini')
    return dict(cfg['DEFAULT'])

def bare(requirement:str)->str: return re.match(r'[\w.-]+', requirement)[0].lower().replace('_', '-')
def entries(name:str)->list[str]:
    "The lines of a .in file that name a package."
    return [o for o in (ROOT/'requirements'/name).read_text().splitlines() if o and not o.startswith(('#', '-r'))]

def pins(path:Path)->dict[str, str]:
    return {bare(m[1]): m[2] for o in path.read_text().splitlines() if (m := PIN.fullmatch(o))}

def test_versions_agree():
    import mlkit
    version = settings()['version']
    assert version == mlkit.__version__
    newest = re.search(r'^## \[(.+?)\]', (ROOT/'CHANGELOG.md').read_text().replace('## [Unreleased]', ''), re.M)[1]
    assert newest == version, 'CHANGELOG.md has no section for this version'

@pytest.mark.parametrize('name', ['prod.in', 'dev.in'])
def test_every_dependency_has_a_reason(name):
    assert entries(name)
    for o in entries(name): assert re.search(r' # .{15,}', o), f'{name}: why {o.split()[0]}?'

def test_the_package_requires_what_is_locked():
    assert sorted(map(bare, settings()['requirements'].split())) == sorted(map(bare, entries('prod.in')))

def test_what_modules_import_at_once_is_required():
    "An optional package is imported by the function that needs it."
    need = {bare(o) for o in settings()['requirements'].split()}
    for path in (ROOT/'mlkit').rglob('*.py'):
        top = [o for o in ast.parse(path.read_text()).body if isinstance(o, (ast.Import, ast.ImportFrom))]
        names = {a.name for o in top if isinstance(o, ast.Import) for a in o.names}
        names |= {o.module for o in top if isinstance(o, ast.ImportFrom) and not o.level}
        outside = {o.split('.')[0] for o in names} - sys.stdlib_module_names - {'mlkit'}
        assert outside <= need, f'{path.relative_to(ROOT)} imports {outside - need} at once'

@pytest.mark.parametrize('path', LOCKS, ids=lambda o: o.name)
def test_a_lock_installs_anywhere(path):
    "No index, no hash, no build of one machine: only names and versions."
    lines = path.read_text().splitlines()
    assert lines[0].startswith('#') and len(lines) > 20
    for o in lines[1:]: assert PIN.fullmatch(o), f'{path.name}: {o}'
    locked = pins(path)
    assert locked['torch'] == '2.13.0'
    assert not [o for o in locked if re.match('nvidia-(?!ml-py)|triton|cuda|pytorch-triton', o)]

@pytest.mark.parametrize('suffix', ['', '-py310'])
def test_locks_hold_what_the_in_files_name(suffix):
    prod, dev = (pins(ROOT/'requirements'/f'{o}{suffix}.txt') for o in ('prod', 'dev'))
    assert prod.items() <= dev.items(), 'a tool would be tested with other versions than users get'
    other = '>= "3.11"' if suffix else '< "3.11"'
    def wanted(name): return {bare(o) for o in entries(name) if other not in o}
    assert wanted('prod.in') <= set(prod) and wanted('dev.in') <= set(dev)

def test_readme_is_the_index_notebook():
    text, files = readme.readme(json.loads((ROOT/'nbs'/'index.ipynb').read_text()))
    assert (ROOT/'README.md').read_text() == text, 'make sync writes it'
    for name, data in files.items():
        assert hashlib.sha256((ROOT/name).read_bytes()).digest() == hashlib.sha256(data).digest(), name

def test_readme_shows_before_it_tells():
    "Code within the first 30 lines, its output under it, pictures that exist, the two commands, what it isn't."
    text = (ROOT/'README.md').read_text()
    assert '```python' in '\n'.join(text.splitlines()[:30])
    assert re.search(r'^```python\n.*?^```\n\n(```text|!\[)', text, re.M | re.S)
    for o in ('make demo', 'make test', 'Non-goals'): assert o in text
    pictures = re.findall(r'!\[[^\]]*\]\(([^)\s]+)', text) + re.findall(r'<img[^>]+src="([^"]+)"', text)
    assert pictures
    links = re.findall(r'\]\(([^)#\s]+)', text)
    for o in {*pictures, *links}: assert re.match('[a-z]+:', o) or (ROOT/o).exists(), o

def test_the_exporter_of_the_readme(tmp_path):
    "Prose, code, outputs, pictures; hidden cells and directives stay out; links lead there from the root."
    def code(source, *outputs): return dict(cell_type='code', source=source.splitlines(True), outputs=list(outputs))
    def md(source): return dict(cell_type='markdown', source=source)
    png = dict(output_type='display_data', data={'image/png': 'iVBORw==', 'text/plain': '<Figure>'})
    cells = [md('# Title\n\n> What it gives'), code('#| hide\nsecret'),
        md('See [a](tutorials/a.ipynb), [b](https://x.y) or [c](#d)'),
        code('#| eval: false\nx = 1\n\nx', dict(output_type='stream', text=['\x1b[31mred\x1b[0m\n']),
            dict(output_type='execute_result', data={'text/plain': ['```'], 'text/html': '<b>'})),
        code('#| echo: false\nplot()', png), md('![curves](images/c.png)')]
    text, files = readme.readme(dict(cells=cells))
    assert text.startswith('# Title\n\n> What it gives\n\n<!-- Written by')
    assert 'secret' not in text and '#|' not in text and 'plot()' not in text and '<Figure>' not in text
    assert '[a](nbs/tutorials/a.ipynb), [b](https://x.y) or [c](#d)' in text and '![curves](nbs/images/c.png)' in text
    assert '```python\nx = 1\n\nx\n```\n\n```text\nred\n```\n\n````text\n```\n````' in text
    assert files == {'nbs/images/index-2.png': b'\x89PNG'} and '](nbs/images/index-2.png)' in text

def test_contributing_is_a_page():
    assert len((ROOT/'CONTRIBUTING.md').read_text().splitlines()) <= 60

def test_make_help_names_every_command():
    "`make` alone tells what there is."
    text = (ROOT/'Makefile').read_text()
    shown = set(re.findall(r'^# make (\w+)', text, re.M))
    assert {'demo', 'test', 'docs', 'bench', 'lock', 'clean', 'sync'} <= shown
    for o in shown: assert re.search(rf'^{o}:', text, re.M), o
