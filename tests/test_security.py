"Nothing is unpickled, nothing leaves the store's folder, nothing a run is named becomes markup."
import ast, json, os, shutil, warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import QUIET, only

import mlkit

PACKAGE = Path(mlkit.__file__).parent
SOURCES = sorted(PACKAGE.rglob('*.py'))

# --- nothing is unpickled

UNPICKLERS = set('pickle cPickle dill cloudpickle marshal shelve joblib jsonpickle'.split())
# These send the user's function to processes that they start themselves: over a pipe, or in a new folder only the user may read.
SENDERS = {'train/launch.py', 'tune/workers.py'}

@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_unpickling_in_the_source(path):
    "No module imports something that unpickles or runs text, and no call allows it."
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import): names = {a.name.split('.')[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom): names = {(node.module or '').split('.')[0]}
        else: names = set()
        if path.relative_to(PACKAGE).as_posix() in SENDERS: continue
        assert not names & UNPICKLERS, ast.unparse(node)
        if not isinstance(node, ast.Call): continue
        text = ast.unparse(node.func)
        safe = text == 'torch.load' and any(kw.arg == 'weights_only' and ast.unparse(kw.value) == 'True' for kw in node.keywords)
        assert safe or text not in ('eval', 'exec', 'yaml.load', 'torch.load', 'pd.read_pickle'), ast.unparse(node)
        for kw in node.keywords:
            assert kw.arg != 'allow_pickle' or ast.unparse(kw.value) == 'False', ast.unparse(node)
            assert kw.arg != 'shell' or ast.unparse(kw.value) == 'False', ast.unparse(node)

class Bomb:
    "Creates a file when it is unpickled."
    def __init__(self, path): self.path = path
    def __reduce__(self): return (open, (str(self.path), 'w'))

def test_a_planted_pickle_is_not_loaded(store, tmp_path):
    "An `.npy` file of pickled objects among the history, or in a run's files, is never loaded, and hides no row."
    run, boom = mlkit.init('p'), tmp_path/'boom'
    run.log(a=1.)
    evil = np.empty(1, object)
    evil[0] = Bomb(boom)
    np.save(run.path/'history'/'0-0-abcdef-0007.npy', evil, allow_pickle=True)
    rows = evil.astype([('_step', 'O'), ('a', 'O'), ('_time', 'O')])
    np.save(run.path/'history'/'0-0-abcdef-0008.npy', rows, allow_pickle=True)
    run.finish()

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert only().history()['a'].tolist() == [1.] and only().summary['a'] == 1.
        _ = repr(mlkit.runs('p')), mlkit.runs('p').df
    assert not boom.exists()

def test_planted_text_is_not_run(store, tmp_path):
    "The header of a segment is data: an expression in it is not evaluated."
    run, boom = mlkit.init('p'), tmp_path/'boom'
    run.log(a=1.)
    text = f"{{'descr': open({str(boom)!r}, 'w'), 'fortran_order': False, 'shape': (1,), }}".ljust(245) + '\n'
    data = b'\x93NUMPY\x01\x00' + len(text).to_bytes(2, 'little') + text.encode() + bytes(64)
    (run.path/'history'/'0-0-abcdef-0007.npy').write_bytes(data)
    run.finish()

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert only().history()['a'].tolist() == [1.]
    assert not boom.exists()

# --- names stay in the store

OUTSIDE = ['../x', '..', '.', 'a/b', '/abs', '/etc', 'x\0y', '.trash', '.hidden', 'a\\b', 'a\nb', '', ' ', 'x'*300,
    '../../x', 'a/../../x', '..\\x']

def everything(folder): return sorted(str(p) for p in folder.rglob('*'))

@pytest.mark.parametrize('name', OUTSIDE, ids=lambda s: ascii(s[:12]))
def test_project_names(store, tmp_path, name):
    "A project's name that could be a path is refused by a message, before anything is written."
    store.mkdir()
    before = everything(tmp_path)
    if name:                                             # '' asks for the default
        with pytest.raises(ValueError, match='project'): mlkit.init(name)
        assert everything(tmp_path) == before
    assert mlkit.current() is None

@pytest.mark.parametrize('name', [o for o in OUTSIDE if o], ids=lambda s: ascii(s[:12]))
def test_run_ids(store, tmp_path, name):
    "The same for a run's id, given or taken from `MLKIT_RUN_ID`, with and without `resume`."
    store.mkdir()
    before = everything(tmp_path)
    for kw in (dict(id=name), dict(id=name, resume='allow'), dict(id=name, resume='must'), dict(resume=name)):
        with pytest.raises((ValueError, LookupError)): mlkit.init('p', **kw)
    assert [p for p in everything(tmp_path) if p not in before and not p.endswith(('store/p', '.gitignore'))] == []

def test_the_id_from_the_environment(script, tmp_path):
    "`MLKIT_RUN_ID` can't lead out of the store either."
    r = script("import mlkit\nmlkit.init('p').log(a=1.)", MLKIT_RUN_ID='../../escaped')
    assert not list(tmp_path.rglob('*escaped*')) and (r.rc != 0 or len(mlkit.runs('p')) == 1)

@pytest.mark.parametrize('name', ['../x', 'a/b', '../../victim', '/etc', 'x\0y', '.trash'], ids=ascii)
def test_readers_stay_in_the_store(store, tmp_path, name):
    "Looking up, deleting or restoring a run by a path finds nothing and touches nothing outside."
    victim = tmp_path/'victim'
    victim.mkdir()
    meta = dict(format=1, id='victim', name='victim', project='..', status='finished', started=0.)
    (victim/'run.json').write_text(json.dumps(meta))
    mlkit.init('p').finish()
    before = everything(tmp_path)
    for fn in (mlkit.Store().get, mlkit.delete, mlkit.restore, lambda n: mlkit.runs('p')[n],
        lambda n: mlkit.rename(n, 'z'), mlkit.archive):
        with pytest.raises((ValueError, LookupError, FileNotFoundError)): fn(name)
    with suppress(ValueError, LookupError): assert len(mlkit.runs(name)) == 0
    assert everything(tmp_path) == before

def test_links_are_not_followed_when_deleting(store, tmp_path):
    "Deleting a run, and emptying the trash, removes no file that a link in it points to."
    keep = tmp_path/'keep'
    keep.mkdir()
    (keep/'data').write_text('x')
    run = mlkit.init('p')
    os.symlink(keep, run.path/'files-link')
    os.symlink(keep/'data', run.path/'data-link')
    run.finish()
    mlkit.delete(run.id)
    assert not mlkit.runs('p')
    mlkit.restore(run.id)
    mlkit.delete(run.id)
    mlkit.gc()
    shutil.rmtree(store)
    assert (keep/'data').read_text() == 'x'

def test_saved_files_stay_in_the_run(store, tmp_path):
    "A file from elsewhere is copied under its name, whatever the way to it looks like."
    (tmp_path/'work').mkdir()
    (tmp_path/'outside.txt').write_text('x')
    os.chdir(tmp_path/'work')
    run = mlkit.init('p')
    run.save('../outside.txt')
    run.save(str(tmp_path/'outside.txt'), base_path=str(tmp_path/'work'))
    assert [p.name for p in (run.path/'files').rglob('*') if p.is_file()] == ['outside.txt']
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != 'store') == ['outside.txt', 'work']

def test_a_doctored_export_stays_in_the_store(store, tmp_path):
    "Importing a file whose project, id or file names are paths writes nothing outside the store."
    with mlkit.init('p') as run: run.log(a=1.)
    out = tmp_path/'runs.json'
    mlkit.export_runs(mlkit.runs('p'), out)
    text = out.read_text()
    for old, new in ((f'"{run.id}"', '"../../evil"'), ('"p"', '"../evil"'), ('"p"', '"/tmp/mlkit-evil"')):
        assert old in text
        out.write_text(text.replace(old, new))
        with suppress(ValueError): mlkit.import_runs(out, store=tmp_path/'other')
        assert not [p for p in tmp_path.rglob('*evil*') if tmp_path/'other' not in p.parents]
        assert not Path('/tmp/mlkit-evil').exists()

# --- names are no markup

EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'&'

def evil_run(name):
    with mlkit.init('p', name=name, config={EVIL: EVIL, 'html': EVIL + name}, tags=[EVIL], notes=EVIL, group=EVIL,
        job_type=EVIL) as run:
        run.log({EVIL: 1., 'note': EVIL})
        run.summary[EVIL + 's'] = EVIL
        run.alert(EVIL, EVIL)
    return run

def test_html_is_escaped(store):
    """Names and values of runs never become markup in a notebook: in tables, records, live runs, comparisons, whatever
    shows itself."""
    a, b = evil_run(EVIL + 'a'), evil_run(EVIL + 'b')
    with pytest.raises(ValueError), mlkit.init('p', name='failed' + EVIL): raise ValueError(EVIL)
    runs = mlkit.runs('p')
    d = mlkit.diff(a.id, b.id)
    shown = [runs, runs[0], d, mlkit.Store(), runs[:2], a, a.config, a.summary,
        *(getattr(d, k, None) for k in ('config', 'metrics'))]
    html = [o._repr_html_() for o in shown if hasattr(o, '_repr_html_')]
    assert len(html) >= 3
    for h in filter(None, html): assert '<script>alert' not in h and '<img src=x' not in h
    assert 'alert(1)' in ''.join(filter(None, html)), 'they are shown, as text'

def test_text_is_shown_as_it_is(store):
    "In the terminal square brackets are no styles, and escape characters in a name don't reach it."
    for name in ('[bold]x[/bold]', '[/nope]', '[link=http://x]y[/link]', 'red \x1b[31mink'):
        try: mlkit.init('p', name=name, tags=['[red]t'], config={'[k]': '[v]'}).finish()
        except ValueError: assert '\x1b' in name
    text = repr(mlkit.runs('p'))
    assert '[bold]x[/bold]' in text and '[/nope]' in text and '\x1b[31mink' not in text
    assert '[bold]x' in repr(mlkit.runs('p')[-1]) + repr(mlkit.runs('p')[0]) + text

# --- secrets

def test_secrets_from_the_command_line(script, store):
    "A secret that came by the command line into the config is not kept in the recorded arguments either."
    script('''
        import argparse, mlkit
        p = argparse.ArgumentParser()
        p.add_argument('--api_key')
        p.add_argument('--hf-token')
        p.add_argument('--lr', type=float)
        run = mlkit.init('p', config=p.parse_args())
        run.log(a=1.)
        ''', '--api_key', 'S3CRET-1', '--hf-token=S3CRET-2', '--lr', '.1', ok=True, MLKIT_CODE='1')
    r = only()
    assert r.config['lr'] == .1 and '.1' in str(r.meta['code']['argv'])
    assert not [f for f in store.rglob('*') if f.is_file() and b'S3CRET' in f.read_bytes()]

def test_secrets_in_the_environment_are_not_recorded(script, store):
    "The environment is not part of what a run remembers."
    env = dict.fromkeys(QUIET, '1') | dict(OPENAI_API_KEY='S3CRET-3', LANG_NOTE='S3CRET-4')
    script("import mlkit\nmlkit.init('p').log(a=1.)", ok=True, **env)
    assert not [f for f in store.rglob('*') if f.is_file() and b'S3CRET' in f.read_bytes()]

def test_changes_of_a_secret_are_masked(store):
    "The record of a changed setting holds neither the old nor the new secret, and the reader shows none."
    run = mlkit.init('p', config=dict(password='S3CRET-5', opt=dict(token='S3CRET-6')))
    run.config.password = 'S3CRET-7'
    run.config.opt = dict(token='S3CRET-8', lr=.1)
    run.finish()
    (e, f) = run.events('config')
    assert e['key'] == 'password' and f['new']['lr'] == .1
    r = only()
    shown = json.dumps([run.events(), r.meta]) + repr(r) + repr(mlkit.runs('p')) + mlkit.runs('p').df.to_csv()
    assert 'S3CRET' not in shown

def console(): return (only().path/'console.log').read_text()

def test_secrets_that_are_printed_are_masked(script, store):
    "Values of secret settings, also of later ones, and of the environment: not in console.log, but on the terminal."
    r = script('''
        import mlkit, os, sys
        run = mlkit.init('p', config=dict(api_key='S3CRET-KEY-9', lr=.1, opt=dict(password='S3CRET-PW-10')))
        print('keys', 'S3CRET-KEY-9', os.environ['MY_TOKEN'], 'lr', .1)
        for c in 'in pieces S3CRET-PW-10\\n': sys.stdout.write(c)
        run.config.hf_token = 'S3CRET-LATER-11'
        print('S3CRET-LATER-11', file=sys.stderr)
        print('bar S3CRET-KEY-9', end='\\r')
        ''', ok=True, MLKIT_CONSOLE='1', MY_TOKEN='S3CRET-ENV-12')
    text = console()
    assert 'S3CRET' not in text and 'keys ******** ******** lr 0.1\nin pieces ********\n' in text
    assert r.out.count('S3CRET') == 4

def test_ordinary_words_are_printed_as_they_are(script, store):
    "Short values and paths are no reason to black out text."
    script('''
        import mlkit
        mlkit.init('p', config=dict(token='on', secret='', auth=None, credentials='/home/me/key.json', api_key=7))
        print('on and on /home/me/key.json None 7')''', ok=True, MLKIT_CONSOLE='1')
    assert console() == 'on and on /home/me/key.json None 7\n'
