"Lessons are read more often than run: what is committed must be complete, and show nothing of the machine that ran it."
import getpass, json, re, socket
from pathlib import Path

import pytest
from conftest import ROOT

LESSONS = sorted((ROOT/'nbs'/'tutorials').glob('*.ipynb'))
ALL = [ROOT/'nbs'/'index.ipynb', *LESSONS]
PRIVATE = re.compile(r'/tmp/|/home/|/root\b|/Users/|/var/folders/|\bsite-packages\b')

def cells(path:Path, kind:str)->list[dict]:
    return [c for c in json.loads(path.read_text())['cells'] if c['cell_type'] == kind]

def source(c:dict)->str: return ''.join(c['source'])

def texts(c:dict)->str:
    "Everything that a cell shows, pictures left out."
    out = []
    for o in c['outputs']:
        data = o.get('data', {})
        out += [''.join(o.get('text', [])), *(''.join(data[k]) for k in data if k.startswith('text/'))]
    return re.sub('\x1b\\[[0-9;]*m|<script>.*?</script>', '', '\n'.join(out), flags=re.S)     # a report's program is no output

def test_there_are_the_lessons():
    assert {p.stem for p in LESSONS} == {'quickstart', 'comparing', 'scripts', 'failures', 'migrate', 'machine',
    'training', 'two_processes', 'transformer', 'kill_it', 'watching', 'wandb_sweep', 'from_loop_to_sweep', 'kill_a_sweep',
    'random_enough'}

@pytest.mark.parametrize('path', ALL, ids=lambda p: p.stem)
def test_begins_with_a_title_and_what_it_gives(path):
    first = source(cells(path, 'markdown')[0])
    assert re.match(r'# .+\n\n> .+', first), first

@pytest.mark.parametrize('path', LESSONS, ids=lambda p: p.stem)
def test_is_no_module(path):
    assert not [c for c in cells(path, 'code') if re.search(r'^#\s*\|\s*(default_exp|export)', source(c), re.M)]

@pytest.mark.parametrize('path', ALL, ids=lambda p: p.stem)
def test_outputs_are_committed_and_without_errors(path):
    "Without outputs the docs would show code that answers nothing."
    shown = [c for c in cells(path, 'code') if not source(c).startswith('#| hide')]
    assert all(o['output_type'] != 'error' for c in shown for o in c['outputs'])
    assert sum(bool(c['outputs']) for c in shown) >= len(shown)/2

@pytest.mark.parametrize('path', ALL, ids=lambda p: p.stem)
def test_outputs_show_nothing_of_the_machine(path):
    "No folder, host or user of whoever ran the lesson last."
    for c in cells(path, 'code'):
        seen = texts(c)
        assert not PRIVATE.search(seen), (source(c), PRIVATE.search(seen))
        for name in {socket.gethostname(), getpass.getuser()}:
            assert len(name) < 4 or not re.search(rf'\b{re.escape(name)}\b', seen), (name, source(c))

@pytest.mark.parametrize('path', ALL, ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    for c in cells(path, 'markdown'):
        for link in re.findall(r'\]\(([^)#]+)[^)]*\)', source(c)):
            if '://' not in link: assert (path.parent/link).exists(), link

def test_lessons_never_write_into_the_project():
    "Each one sets a store of its own before its first run, so that running them as tests leaves no runs behind."
    for path in ALL:
        code = [source(c) for c in cells(path, 'code')]
        first = next((i for i, o in enumerate(code) if 'init(' in o and '%%writefile' not in o), len(code))
        assert any('MLKIT_STORE' in o and o.startswith('#| hide') for o in code[:first]), path
