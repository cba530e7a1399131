"Changes to runs are kept, whoever writes too; deleting is undone; exports come back exactly; imports stay inside."
import json, math, os, threading
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from conftest import until
from hypothesis import HealthCheck, given, settings, strategies as st

import mlkit
from mlkit.track.record import RunNotFound, RunRecord, find_record, records
from mlkit.track.tidy import StillRunning

def make(project='p', **kw):
    with mlkit.init(project, **kw) as run: run.log(acc=.5)
    return RunRecord(run.path)

LIVE = """
import mlkit, os, time
run = mlkit.init('p', 'live')
while not os.path.exists('stop'): run.log(acc=.5); time.sleep(.01)
run.finish()
"""

# --- editing

def test_edits_of_a_live_run_outlive_its_owner(store, script, tmp_path):
    "Tag, note and name that another process sets show at once, and survive the owner's own writes and its finish."
    p = script.start(LIVE)
    r = until(lambda: next((r for r in records() if r.metrics), None))
    mlkit.tag(r, 'a', 'b')
    mlkit.tag(r, 'c', remove='a')
    mlkit.note(r, 'hello')
    mlkit.rename(r, 'other name')
    assert (r.tags, r.notes, r.name, r.status) == (('b', 'c'), 'hello', 'other name', 'running')
    (tmp_path/'stop').touch()
    assert p.wait(30) == 0
    assert (r.tags, r.notes, r.name, r.status) == (('b', 'c'), 'hello', 'other name', 'finished')

def test_edits_while_the_owner_writes(store, tmp_path):
    "The owner changes its config, and so rewrites run.json, between edits; neither loses anything."
    with mlkit.init('p') as run:
        for i in range(30):
            run.config[f'k{i}'] = i
            mlkit.tag(run.id, f't{i}')
    r = RunRecord(run.path)
    assert len(r.tags) == 30 and len(r.config) == 30

def test_edits_during_finish(store):
    "A tag that is set in the very moment of finishing is there afterwards."
    for i in range(20):
        run = mlkit.init('p')
        t = threading.Thread(target=mlkit.tag, args=(run.id, 'late'))
        t.start()
        run.finish()
        t.join()
        assert RunRecord(run.path).tags == ('late',), i

def test_many_editors_at_once(store, script):
    "Eight processes that tag one finished run take turns: every tag is there."
    r = make()
    ps = [script.start(f"import mlkit\nfor i in range(10): mlkit.tag({r.id!r}, f'{k}-{{i}}')") for k in range(8)]
    assert [p.wait(60) for p in ps] == [0]*8
    assert len(r.tags) == 80

def test_edits_of_a_crashed_run(store, script):
    "A run that was killed takes tags, and is still crashed."
    script("import mlkit, os\nrun = mlkit.init('p', 'x')\nrun.log(acc=.5)\nos.kill(os.getpid(), 9)")
    r = find_record('x')
    mlkit.tag(r, 'dead')
    mlkit.archive(r)
    assert (r.tags, r.archived, r.status) == (('dead',), True, 'crashed') and len(mlkit.runs('p')) == 0

@pytest.mark.parametrize('bad', ['', ' ', 'a\nb', 'x'*501, None, 3, 'a\x1bb'])
def test_bad_names_and_tags_change_nothing(store, bad):
    r = make()
    before = r.meta
    for f in (mlkit.rename, mlkit.tag):
        with pytest.raises(ValueError, match='on one line'): f(r, bad)
    assert r.meta == before

def test_unknown_fields_survive_an_edit(store):
    "What a newer version wrote into run.json is kept by an edit."
    r = make()
    meta = json.loads((r.path/'run.json').read_text())
    (r.path/'run.json').write_text(json.dumps({**meta, 'future': {'x': 1}}))
    mlkit.tag(r, 'a')
    assert r.meta['future'] == {'x': 1}

# --- delete, restore, gc

def test_delete_and_restore_are_exact(store):
    "A restored run is the run that was deleted: files, config, history."
    r = make(config=dict(lr=.1))
    files = {p.relative_to(r.path): p.read_bytes() for p in r.path.rglob('*') if p.is_file()}
    mlkit.delete(r)
    assert len(mlkit.runs('p')) == 0 and r.status == 'unreadable'
    with pytest.raises(RunNotFound): find_record(r.id)
    mlkit.restore(r.id)
    assert {p.relative_to(r.path): p.read_bytes() for p in r.path.rglob('*') if p.is_file()} == files

def test_a_live_run_is_not_deleted(store, script, tmp_path):
    "Not by name, not among others, and nothing else is moved either."
    p = script.start(LIVE)
    live = until(lambda: next((r for r in records() if r.metrics), None))
    done = make()
    for f in (lambda: mlkit.delete('live'), lambda: mlkit.delete(done, live)):
        with pytest.raises(StillRunning, match='still running'): f()
    assert len(mlkit.runs('p')) == 2
    (tmp_path/'stop').touch()
    assert p.wait(30) == 0
    mlkit.delete('live')
    assert [r.id for r in mlkit.runs('p')] == [done.id]

def test_restore_overwrites_nothing(store):
    "Another run that took the place of a deleted one stays."
    r = make(id='x')
    mlkit.delete(r)
    make(id='x', config=dict(new=1))
    with pytest.raises(FileExistsError, match='another run p/x'): mlkit.restore('x')
    with pytest.raises(FileExistsError, match='in the trash already'): mlkit.delete('x')
    assert find_record('x').config.new == 1

def test_gc_names_what_it_removes(store):
    "A dry run removes nothing and gives the figures of the real one; young garbage can be kept."
    a, b = make(), make()
    mlkit.delete(a)
    assert mlkit.gc(days=1).bytes == 0
    plan = mlkit.gc(dry_run=True)
    assert list(plan.trash) == [f'p/{a.id}'] and 'would be freed' in repr(plan)
    assert mlkit.gc() == type(plan)(plan.trash, plan.tails) and mlkit.gc().bytes == 0
    assert [r.id for r in mlkit.runs('p')] == [b.id]
    with pytest.raises(RunNotFound): mlkit.restore(a.id)

def test_gc_trims_the_dead_and_spares_the_living(store, script):
    "The reserved tail of a killed run goes, none of its rows does, and a live run isn't touched."
    for n in (0, 1, 5000):
        script(f"""
            import mlkit, os
            run = mlkit.init('p', 'n{n}')
            for i in range({n}): run.log({{'acc': i, "ü/'shape': (9,)": i}})
            os.kill(os.getpid(), 9)""")
    p = script.start(LIVE)
    live = until(lambda: next((r for r in mlkit.runs('p').where("name == 'live'") if r.metrics), None))
    sizes = {f: f.stat().st_size for f in (live.path/'history').glob('*.npy')}
    before = {n: find_record(f'n{n}').history() for n in (0, 1, 5000)}
    plan = mlkit.gc(dry_run=True)
    assert mlkit.gc().tails == plan.tails and live.id not in str(plan.tails) and plan.bytes > 0
    for n, df in before.items():
        r = find_record(f'n{n}')
        pd.testing.assert_frame_equal(r.history(), df)
        for f in (r.path/'history').glob('*.npy'): assert len(np.load(f)) == n
    assert {f: f.stat().st_size for f in sizes} == sizes and live.status == 'running'
    assert mlkit.gc().bytes == 0
    p.kill()

def test_a_deleted_symlink_leaves_its_target(store, tmp_path):
    "gc removes a link that somebody put into the trash, not what it points to."
    r = make()
    (tmp_path/'precious').mkdir()
    (tmp_path/'precious'/'file').write_text('x')
    os.symlink(tmp_path/'precious', r.path/'files', target_is_directory=True)
    mlkit.delete(r)
    mlkit.gc()
    assert (tmp_path/'precious'/'file').read_text() == 'x'

# --- export and import

values = st.one_of(st.floats(), st.integers(-2**60, 2**60), st.booleans())
keys = st.text(min_size=1, max_size=6).filter(lambda k: k.strip() and k[0] != '_' and k.isprintable())
configs = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.text('abc', min_size=1, max_size=3), v,
        max_size=3)), max_leaves=6)

@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.dictionaries(keys, values, min_size=1, max_size=3), max_size=6), st.dictionaries(st.text('abc',
    min_size=1, max_size=3), configs, max_size=3),
    st.lists(st.text('a,"; \u00fc', min_size=1, max_size=4).filter(str.strip), max_size=2), st.text(max_size=10))
def test_json_brings_everything_back(store, tmp_path, rows, config, tags, notes):
    "Config, summary, tags, notes, history and events of any run survive export and import."
    with mlkit.init('p', config=config, tags=tags, notes=notes) as run:
        for row in rows: run.log(row)
        run.log(sample='text', step=3)
    r = RunRecord(run.path)
    mlkit.export_runs(r, tmp_path/'x.json')
    back, = mlkit.import_runs(tmp_path/'x.json', tmp_path/f'other-{r.id}')
    same(r, back)
    assert [e['value'] for e in back.events('value')] == [e['value'] for e in r.events('value')]

def same(a, b):
    assert (a.id, a.name, a.status, a.tags, a.notes, a.group, a.started) == (b.id, b.name, b.status, b.tags, b.notes,
        b.group, b.started)
    assert repr(a.config) == repr(b.config)
    assert repr(dict(sorted(a.summary.items()))) == repr(dict(sorted(b.summary.items())))
    x, y = a.history(), b.history()
    assert list(x.columns) == list(y.columns) or set(x.columns) == set(y.columns)
    for k in x: assert x[k].tolist() == y[k].tolist() or np.array_equal(x[k].to_numpy(float), y[k].to_numpy(float),
        equal_nan=True), k

@pytest.mark.parametrize('suffix', ['.json', '.csv', '.parquet'])
def test_what_is_easily_lost(store, tmp_path, suffix):
    "NaN, infinities, large integers, resumes, more than 64 key sets, 2,000 keys: all formats keep them."
    with mlkit.init('p', 'a "name", x', dict(lr=1e-5, s='007', t='true', n=None, e='', l=[1, 'a'],
        o=dict(p=dict(q=1)))) as run:
        run.log(a=math.nan, b=math.inf)
        run.log(a=2**60 + 1, b=-math.inf)
        run.log(a=1)
        for i in range(70): run.log({f'k{i}': i})
        run.log({f'wide/{i}': i/7 for i in range(2000)})
        run.log_system({'sys/x': 1.})
    with mlkit.init('p', resume=run.id) as run: run.log(a=5., step=1)
    r = RunRecord(run.path)
    mlkit.export_runs([r], tmp_path/f'x{suffix}')
    back, = mlkit.import_runs(tmp_path/f'x{suffix}', tmp_path/'other')
    x, y = r.history(), back.history()
    assert len(x) == len(y) >= 75 and set(x.columns) <= set(y.columns) | {'_superseded'}
    for k in set(x.columns) - {'_superseded'}: np.testing.assert_array_equal(x[k].to_numpy(float),
        y[k].to_numpy(float), k)
    assert y['a'].iloc[1] == 2**60 + 1 and back.history(system=True)['sys/x'].dropna().tolist() == [1]
    assert back.config.as_dict() == r.config.as_dict() and back.name == r.name

def test_an_export_is_plain_data(store, tmp_path):
    "pandas reads the tables without mlkit."
    for lr in (.1, .2): make(config=dict(lr=lr))
    mlkit.runs('p').export(tmp_path/'x.csv')
    assert sorted(pd.read_csv(tmp_path/'x.csv')['config.lr']) == [.1, .2]
    assert pd.read_csv(tmp_path/'x.history.csv')['value'].tolist() == [.5, .5]
    mlkit.runs('p').export(tmp_path/'x.parquet')
    assert pd.read_parquet(tmp_path/'x.parquet')['summary.acc'].tolist() == [.5, .5]

@pytest.mark.parametrize('suffix', ['.json', '.csv', '.parquet'])
def test_import_overwrites_nothing(store, tmp_path, suffix):
    "A run that is there stays as it is, and the second import of a file adds nothing; what is in the trash counts as taken."
    r = make(config=dict(lr=.1))
    mlkit.export_runs(r, tmp_path/f'x{suffix}')
    assert [b.id for b in mlkit.import_runs(tmp_path/f'x{suffix}')] == [r.id]
    mlkit.delete(r)
    ids = {b.id for _ in range(3) for b in mlkit.import_runs(tmp_path/f'x{suffix}')}
    assert len(ids) == 1 and r.id not in ids and {b.meta['links']['imported_from'] for b in mlkit.runs('p')} == {r.id}
    mlkit.restore(r.id)
    assert len(mlkit.runs('p')) == 2

@pytest.mark.parametrize('suffix', ['.json', '.csv', '.parquet'])
def test_the_whole_record_comes_back(store, tmp_path, suffix):
    "Settings without a value, whole numbers, the error and where it ran, by the tables as well."
    with suppress(ZeroDivisionError), mlkit.init('p', config=dict(wd=None, n=3, deep=dict(a=[1, 2]), odd=float('nan'))) as run:
        raise ZeroDivisionError('by zero')
    r = RunRecord(run.path)
    mlkit.export_runs([r], tmp_path/f'x{suffix}')
    back, = mlkit.import_runs(tmp_path/f'x{suffix}', tmp_path/'other')
    assert repr(back.config.as_dict()) == repr(r.config.as_dict()) and type(back.config['n']) is int
    assert back.meta['error'] == r.meta['error'] and back.meta['host'] == r.meta['host'] and back.status == 'failed'

def test_a_running_run_is_exported_as_it_is(store, tmp_path):
    "The copy of a live run has its rows so far and doesn't claim to run."
    run = mlkit.init('p')
    run.log(acc=.7)
    mlkit.export_runs(RunRecord(run.path), tmp_path/'x.json')
    back, = mlkit.import_runs(tmp_path/'x.json', tmp_path/'other')
    assert back.status == 'interrupted' and back.summary == {'acc': .7} and RunRecord(run.path).status == 'running'

HEAD = 'id,session,rank,row,step,time,metric,value\n'
EVIL = dict(meta=dict(id='x', project='p', name='x'), history=[], events=[])
@pytest.mark.parametrize('change', [dict(meta=dict(EVIL['meta'], project='../out')), dict(meta=dict(EVIL['meta'],
    project='/tmp/out')),
    dict(meta=dict(EVIL['meta'], project='.trash')), dict(texts={'../evil.py': ''}),
    dict(texts={'code/../../../evil.py': ''}),
    dict(texts={'/etc/evil': ''}), dict(texts={'lock': ''}), dict(texts={'run.json': '{}'}),
    dict(texts={'history/x.npy': ''}),
    dict(texts={'code\\..\\evil': ''})], ids=str)
def test_imports_stay_inside(store, tmp_path, change):
    "A file can't write outside its run's folder, nor over the files that mlkit itself reads."
    (tmp_path/'in').mkdir()
    path = tmp_path/'in'/'x.json'
    path.write_text(json.dumps(dict(mlkit_export=1, runs=[{**EVIL, **change}])))
    before = {p for p in tmp_path.rglob('*') if store not in p.parents}
    with pytest.raises(ValueError): mlkit.import_runs(path)
    assert {p for p in tmp_path.rglob('*') if store not in p.parents and p != store} == before - {store}
    assert not [p for p in store.rglob('*') if p.is_file() and p.name != '.gitignore']

@pytest.mark.parametrize('id', ['../x', '/tmp/x', '', '.hidden', 'a/b', None, 3, 'x'*300])
def test_an_impossible_id_is_replaced(store, tmp_path, id):
    (tmp_path/'x.json').write_text(json.dumps(dict(mlkit_export=1, runs=[{**EVIL, 'meta': dict(EVIL['meta'], id=id)}])))
    back, = mlkit.import_runs(tmp_path/'x.json')
    assert back.path.parent == store/'p' and back.id != id and back.meta['links']['imported_from'] == str(id)

def export_of(**history):
    "An export of one run with one odd block."
    return json.dumps(dict(mlkit_export=1, runs=[dict(meta=dict(id='x', project='p'), history=[history])]))

@pytest.mark.parametrize('text', ['', '[]', '{}', 'null', '{"mlkit_export": 1}', '{"mlkit_export": 1, "runs": 3}',
    '{"mlkit_export": 1, "runs": [3]}', export_of(cols=3), export_of(session=0, rank=0, step=[1], time=[1],
        cols=dict(a=['x'])),
    export_of(session=0, rank=0, step=[1, 2], time=[1], cols={}), export_of(session=0, rank=0, step=[1], time=[1],
        cols=dict(_step=[1]))])
def test_what_is_no_export_is_refused(store, tmp_path, text):
    "Any other JSON is a ValueError that names the file, and leaves nothing behind."
    (tmp_path/'x.json').write_text(text)
    with pytest.raises(ValueError, match='x.json is no export of mlkit, or is damaged: '): mlkit.import_runs(tmp_path/'x.json')
    assert records() == [] and not list(store.rglob('.import*'))

@pytest.mark.parametrize('odd', [dict(step=['x']), dict(step=[float('inf')]), dict(rank='x'), dict(cols={'a': ['x']}), dict(time=[[]])])
def test_a_damaged_run_says_how_many_came_before(store, tmp_path, odd):
    block = dict(session=0, rank=0, step=[1], time=[1], cols=dict(a=[1]))
    runs = [dict(meta=dict(id=f'r{i}', project='p'), history=[block | (odd if i == 2 else {})]) for i in range(4)]
    (tmp_path/'x.json').write_text(json.dumps(dict(mlkit_export=1, runs=runs)))
    with pytest.raises(ValueError, match='x.json is no export of mlkit, or is damaged: 2 of its 4 runs are imported; '):
        mlkit.import_runs(tmp_path/'x.json')
    assert sorted(r.id for r in records()) == ['r0', 'r1'] and not list(store.rglob('.import*'))

@pytest.mark.parametrize('name,files,said', [
    ('a.csv', {'a.csv': 'a,b\n1,2\n'}, 'a.csv needs a.history.csv beside it'),
    ('a.csv', {'a.csv': 'a,b\n1,2\n', 'a.history.csv': HEAD}, 'it has no column id'),
    ('a.csv', {'a.csv': 'id\nx\n', 'a.history.csv': 'q\n'}, 'a.history.csv must have the columns id, session'),
    ('a.csv', {'a.csv': 'id\nx\n', 'a.history.csv': f'{HEAD}x,0,0,0,0,soon,acc,1\n'}, "could not convert string to float: 'soon'"),
    ('a.history.csv', {'a.csv': 'id\nx\n', 'a.history.csv': HEAD}, 'holds histories only; import a.csv'),
    ('a.json', {'a.json': 'not json'}, 'a.json is no export of mlkit'), ('a.json', {'a.json': b'\xff\xfe\x00'}, 'it is no text'),
    ('a.json', {'a.json': '{"runs": []}'}, "it has no 'mlkit_export': 1"),
    ('a.parquet', {'a.parquet': 'zzz', 'a.history.parquet': 'zzz'}, 'a.parquet is no export of mlkit')])
def test_a_file_of_others_is_refused_in_words(store, tmp_path, name, files, said):
    "The message names the file and what it lacks, and no store is made."
    for n, text in files.items(): (tmp_path/n).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as e: mlkit.import_runs(tmp_path/name)
    assert str(e.value).startswith(name) and said in str(e.value) and not store.exists()

def test_a_second_import_says_so_in_one_line(store, tmp_path, capsys):
    "The command names what it imported, and what was there already; it doesn't say both of one run."
    from mlkit.cli.main import main
    for i in range(2): make(name=f'n{i}')
    mlkit.export_runs(mlkit.runs('p'), tmp_path/'x.csv')
    mlkit.delete('n1')
    r, = mlkit.runs('p')
    mlkit.gc()
    capsys.readouterr()
    assert main(['import', str(tmp_path/'x.csv')]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines()] == [['imported', 'p/n1']]
    assert err.splitlines() == [f'mlkit: n0 ({r.id}) is in the project p already']

def test_nothing_is_ever_unpickled(store, tmp_path):
    "A pickle in place of a segment is not executed."
    import pickle
    r = make()
    class Bomb:
        def __reduce__(self): return os.system, (f'touch {tmp_path}/boom',)
    f = next((r.path/'history').glob('*.npy'))
    head = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b'\n'
    for data in (pickle.dumps(Bomb()), b'\x93NUMPY\x01\x00v\x00' + head + pickle.dumps(Bomb())):
        f.write_bytes(data)
        repr(mlkit.runs('p')), r.summary
        for look in (r.history, lambda: mlkit.export_runs(r, tmp_path/'x.json'), mlkit.gc):
            with suppress(ValueError): look()
    assert not (tmp_path/'boom').exists()

def test_restore_of_what_was_not_deleted(store):
    "An empty trash is said to be empty, another lists what is there."
    make(name='here')
    with pytest.raises(LookupError, match=r"No run 'nope' to restore: the trash of .* is empty"): mlkit.restore('nope')
    mlkit.delete('here')
    with pytest.raises(LookupError, match=r"No run 'nope' in .*\.trash; the newest are: p/.*\(here"): mlkit.restore('nope')
