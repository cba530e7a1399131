"Charts lose no spike, work without a display and for any data; diff lists what differs and nothing else."
import json, math, os, shutil, subprocess, sys, warnings

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import mlkit
from mlkit.core.files import append_line
from mlkit.track.compare import MOST, band, changes, curve, diff, goal, smoothed
from mlkit.track.record import RunRecord

def run_with(values, project='p', key='v', **kw):
    "A finished run that logged `values`."
    with mlkit.init(project, **kw) as run:
        for v in values: run.log({key: v})
    return RunRecord(run.path)

def drawn(chart): return [line.get_ydata() for line in chart.ax.get_lines()]

# --- curves

def test_one_spike_in_a_million_is_drawn(store):
    "A single bad step among 1,000,000 is in the picture, alone, smoothed (as raw line) and in a band."
    values = np.zeros(1_000_000)
    values[765_432], values[12_345] = 50, -7
    with mlkit.init('p') as run: log(run, values)
    r = RunRecord(run.path)
    for kw in (dict(), dict(smooth=.99), dict(x='time')):
        lines = drawn(mlkit.plot([r], 'v', **kw))
        assert max(map(np.nanmax, lines)) == 50 and min(map(np.nanmin, lines)) == -7
        assert all(len(y) <= 1600 for y in lines)
    low, high = band([curve(r, 'v')])[2:]
    assert high.max() == 50 and low.min() == -7 and len(high) == 400

def log(run, values):
    for v in values.tolist(): run.log(v=v)

@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(hnp.arrays(float, st.integers(1, 3000), elements=st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf,
    -math.inf])), st.integers(1, 500))
def test_band_keeps_the_extremes(y, n):
    "Whatever the data, the band of a run reaches its smallest and largest finite value, and the mean lies between."
    x = np.arange(len(y), dtype=float)
    _, mean, low, high = band([(x, y)], n)
    fine = y[np.isfinite(y)]
    if len(fine): assert np.nanmin(low) == fine.min() and np.nanmax(high) == fine.max()
    else: assert np.isnan(mean).all() and np.isnan(low).all()
    ok = ~np.isnan(low)
    assert (mean[ok] >= low[ok] - 1e-6*abs(low[ok]) - 1e-9).all()
    assert (mean[ok] <= high[ok] + 1e-6*abs(high[ok]) + 1e-9).all()

@given(hnp.arrays(float, st.integers(1, 200), elements=st.floats(-1e3, 1e3)), st.floats(0, .999))
def test_smoothing_is_the_debiased_average(y, w):
    "The moving average equals its definition, stays within the data, and leaves constants alone."
    got, m, total = smoothed(y, w), 0., 0.
    for i, v in enumerate(y):
        m, total = w*m + (1 - w)*v, w*total + (1 - w)
        assert math.isclose(got[i], m/total, rel_tol=1e-6, abs_tol=1e-6)
    assert np.allclose(smoothed(np.full(50, 3.), w), 3)

@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_leaves_a_gap_and_a_mark(store, bad):
    "NaN and infinities neither vanish nor stretch the axis."
    r = run_with([1, 2, bad, 4, 5])
    chart = mlkit.plot([r], 'v')
    line, marks = chart.ax.get_lines()
    assert np.isnan(line.get_ydata()[2]) and marks.get_xdata().tolist() == [2]
    assert np.isfinite(chart.ax.get_ylim()).all()
    assert chart._repr_png_()[0][:4] == b'\x89PNG'

@pytest.mark.parametrize('values', [[1.], [math.nan], [math.nan]*3, [0, 0, 0], [-1, 1], [1e300, -1e300], [2**60, 1],
    [1e-300]], ids=str)
@pytest.mark.parametrize('kw', [dict(), dict(logy=True), dict(logx=True, logy=True), dict(smooth=.9), dict(group='i'),
    dict(x='time')], ids=str)
def test_any_values_in_any_way(store, values, kw):
    "Charts of odd data are drawn without an error or a warning."
    runs = [run_with(values, config=dict(i=i)) for i in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert mlkit.plot(runs, 'v', **kw)._repr_png_()[0][:4] == b'\x89PNG'

def test_x_axes(store):
    "Over an epoch that another call logged, over time, and as define_metric said."
    with mlkit.init('p') as run:
        run.define_metric('acc', step_metric='epoch')
        for i in range(10):
            run.log(loss=1/(i + 1))
            if i % 5 == 4: run.log(epoch=i//5), run.log(acc=i/10)
    r = RunRecord(run.path)
    x, y = curve(r, 'acc', 'epoch')
    assert x.tolist() == [0, 1] and y.tolist() == [.4, .9]
    assert mlkit.plot([r], 'acc').ax.get_xlabel() == 'epoch' and mlkit.plot([r], 'loss').ax.get_xlabel() == 'step'
    assert 'since the start' in mlkit.plot([r], 'loss', 'time').ax.get_xlabel()
    with pytest.raises(ValueError, match='No .epok. here; did you mean epoch'): mlkit.plot([r], 'loss', 'epok')
    with pytest.raises(ValueError, match='from 0 to below 1'): mlkit.plot([r], 'loss', smooth=1)

def test_steps_that_go_back(store):
    "Rows logged out of order are drawn in the order of their steps."
    with mlkit.init('p') as run:
        for step in (3, 1, 2, 1): run.log(dict(v=float(step)), step=step)
    x, y = curve(RunRecord(run.path), 'v')
    assert x.tolist() == [1, 1, 2, 3] and y.tolist() == [1, 1, 2, 3]

def test_200_runs_and_more(store):
    "A chart of many runs is drawn, with a legend that stays short."
    runs = [run_with([i, i + 1], config=dict(i=i)) for i in range(MOST + 5)]
    chart = mlkit.plot(runs, 'v')
    legend = [t.get_text() for t in chart.ax.get_legend().get_texts()]
    assert len(drawn(chart)) == MOST and len(legend) == 20 and 'more' in legend[-1]
    assert len(drawn(mlkit.parallel(runs, 'i', 'v'))) == MOST + 2

def test_names_are_shown_as_they_are(store):
    "A dollar begins no formula, an underscore hides no label."
    runs = [run_with([1, 2], name=name, key='cost $x') for name in ('_hidden', 'a$b', '$\\bad{$', 'ünïcode')]
    chart = mlkit.plot(runs, 'cost $x', group='name')
    assert len(chart.ax.get_legend().get_texts()) == 4 and chart._repr_png_()
    assert mlkit.parallel(runs, 'name', 'cost $x')._repr_png_() and mlkit.plot(runs, 'cost $x')._repr_png_()

def test_nothing_global_is_touched(store, script):
    "No pyplot, no chosen backend, no display: the chart is a picture all the same."
    run_with([1, 2, 3])
    r = script("""
        import sys, mlkit
        chart = mlkit.runs('p').plot('v')
        assert chart._repr_png_()[0][:4] == b'\\x89PNG'
        print(chart.save('v.svg'), 'matplotlib.pyplot' in sys.modules)
        """, ok=True, DISPLAY='', MPLBACKEND='TkAgg')
    assert r.out.split() == ['v.svg', 'False']

def test_in_axes_of_your_own(store):
    "`ax` draws into a figure that is already there."
    from matplotlib.figure import Figure
    r = run_with([1, 2, 3])
    fig = Figure()
    a, b = fig.subplots(1, 2)
    assert mlkit.plot([r], 'v', ax=a).fig is fig and mlkit.runs('p').plot('v', ax=b).ax is b

def test_superseded_rows_are_not_drawn(store):
    "After a resume at an earlier step the abandoned branch is left out."
    with mlkit.init('p', id='x') as run:
        for i in range(10): run.log(dict(v=1.), step=i)
    with mlkit.init('p', id='x', resume='must') as run:
        for i in range(5, 8): run.log(dict(v=2.), step=i)
    assert curve(RunRecord(run.path), 'v')[1].tolist() == [1.]*5 + [2.]*3

@pytest.mark.parametrize('name,way', [('loss', 'min'), ('val_loss', 'min'), ('train/loss', 'min'), ('error', 'min'),
    ('top5_err', 'min'), ('perplexity', 'min'),
    ('rmse', 'min'), ('val/mae', 'min'), ('MSE', 'min'), ('wer', 'min'), ('time', 'min'), ('acc', 'max'), ('f1',
        'max'), ('reward', 'max'),
    ('glossary', 'max'), ('answer', 'max'), ('terror_recall', 'max'), ('throughput', 'max'), ('times_won', 'max')])
def test_which_way_is_better(name, way):
    assert goal(name) == way

# --- diff

def test_diff_lists_what_differs_and_nothing_else(store):
    a, b = run_with([.5], config=dict(lr=.1, opt=dict(name='adam'), same=1)), run_with([.7], config=dict(lr=.2,
        opt=dict(name='sgd'), same=1, new=None))
    for r, source in ((a, 'x = 1'), (b, 'x = 2')):
        (r.path/'code').mkdir(exist_ok=True)
        append_line(r.path/'code'/'cells.jsonl', dict(n=1, source=source))
        append_line(r.path/'code'/'cells.jsonl', dict(n=2, source='print(x)'))
        (r.path/'env.json').write_text(json.dumps(dict(packages=dict(numpy='2.0', torch='2.6' if r is a else '2.7'))))
    d = mlkit.diff(a.id, b.id)
    assert d.config == {'lr': (.1, .2), 'opt.name': ('adam', 'sgd')} and d.metrics == {'v': (.5,
        .7)} and d.packages == {'torch': ('2.6', '2.7')}
    assert '-x = 1' in d.code and '+x = 2' in d.code and 'print' in d.code and not d.hardware
    text = repr(d)
    assert '+0.2 (+40.0 %)' in text and 'same' not in text and 'numpy' not in text

def test_diff_of_the_same_run_is_empty(store):
    r = run_with([math.nan, math.nan], config=dict(x=math.nan))
    d = mlkit.diff(r, r)
    assert not d and 'no difference' in repr(d) and 'no difference' in d._repr_html_()

def test_diff_without_anything_captured(store):
    "Runs without code, environment or hardware are compared by what they have."
    a, b = run_with([1]), run_with([2])
    for name in ('env.json', 'code'):
        for r in (a, b): subprocess.run(['rm', '-rf', str(r.path/name)], check=True)
    assert mlkit.diff(a, b).metrics == {'v': (1, 2)} and not mlkit.diff(a, b).code

def test_diff_survives_odd_files(store):
    "Binary, huge and torn files in code/ and env.json don't stop the comparison."
    a, b = run_with([1]), run_with([2])
    (a.path/'code').mkdir(exist_ok=True)
    (a.path/'code'/'model.bin').write_bytes(b'\0\1\2'*100)
    (a.path/'code'/'big.py').write_text('x'*600_000)
    (a.path/'code'/'latin.py').write_bytes('é = 1'.encode('latin1'))
    (a.path/'code'/'cells.jsonl').write_text('{"n": 1, "source": "x"}\n{torn')
    (a.path/'env.json').write_text('[1, 2')
    mlkit.diff(a, b)._repr_html_(), repr(mlkit.diff(a, a)), repr(mlkit.diff(b, a))

@given(st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=3), st.floats(), st.none())),
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=3), st.floats(), st.none())))
def test_changes_are_symmetric(a, b):
    "Swapping the sides swaps the values; what is equal on both sides is left out."
    there, back = changes(a, b), changes(b, a)
    assert set(there) == set(back) and all(repr(back[k]) == repr(v[::-1]) for k, v in there.items())
    assert changes(a, a) == {} and all(repr(x) != repr(y) for x, y in there.values())

def test_a_chart_of_nothing_says_so(store):
    with pytest.raises(LookupError, match='No runs in'): mlkit.runs('p').plot('v')
    with mlkit.init('p'): pass
    with pytest.raises(ValueError, match="No 'v' here"): mlkit.runs('p').plot('v')


# ---- code

def committed(repo, text, message):
    (repo/'model.py').write_text(text)
    for args in (('add', '.'), ('commit', '-qm', message)):
        who = '-c', 'user.name=A', '-c', 'user.email=a@example.com'
        subprocess.run(['git', *who, '-C', str(repo), *args], check=True, capture_output=True)

def executed(repo, store, **env):
    "A run of `train.py` in `repo` by another process."
    call = [sys.executable, str(repo/'train.py')]
    env = {**os.environ, 'MLKIT_STORE': str(store), 'PYTHONPATH': str(ROOT), **env}
    subprocess.run(call, cwd=repo, check=True, capture_output=True, env=env)
    return mlkit.runs('code', store=store).latest()

@pytest.fixture
def repo(tmp_path):
    r = tmp_path/'repo'
    r.mkdir()
    subprocess.run(['git', 'init', '-q', str(r)], check=True)
    (r/'train.py').write_text('import mlkit, model\nmlkit.init("code").log(a=model.layers)\n')
    committed(r, 'layers = 2\nwidth = 10\n', 'first')
    return r

def changed(a, b):
    return [o for o in diff(a, b).code.splitlines() if o[:1] in '+-' and o[:3] not in ('+++', '---')]

def test_diff_of_two_clean_commits_shows_the_files(repo, tmp_path):
    a = executed(repo, tmp_path/'s')
    committed(repo, 'layers = 3\nwidth = 10\n', 'second')
    assert changed(a, executed(repo, tmp_path/'s')) == ['-layers = 2', '+layers = 3']

def test_diff_of_uncommitted_changes_is_that_of_the_files(repo, tmp_path):
    (repo/'model.py').write_text('layers = 3\nwidth = 10\n')
    a = executed(repo, tmp_path/'s')
    (repo/'model.py').write_text('layers = 3\nwidth = 20\n')
    (repo/'new.py').write_text('x = 1\n')
    b = executed(repo, tmp_path/'s')
    assert changed(a, b) == ['-width = 10', '+width = 20', '+x = 1']
    assert 'left_out' not in diff(a, b).code and not diff(a, a)

def test_diff_leaves_no_objects_in_the_repository(repo, tmp_path):
    a = executed(repo, tmp_path/'s')
    (repo/'model.py').write_text('layers = 4\n')
    b, before = executed(repo, tmp_path/'s'), sorted((repo/'.git').rglob('*'))
    assert changed(a, b) and sorted((repo/'.git').rglob('*')) == before

def test_diff_without_the_repository_says_so(repo, tmp_path):
    (repo/'model.py').write_text('layers = 3\n')
    a = executed(repo, tmp_path/'s')
    (repo/'model.py').write_text('layers = 4\n')
    b = executed(repo, tmp_path/'s')
    shutil.rmtree(repo)
    assert 'the repository is not here' in diff(a, b).code and '++layers = 4' in diff(a, b).code

def test_diff_says_when_one_run_has_no_code(repo, tmp_path):
    a, b = executed(repo, tmp_path/'s'), executed(repo, tmp_path/'s', MLKIT_CODE='0')
    assert f'no code was kept of {b.name}' in diff(a, b).code

def test_code_of_an_installed_program_is_that_of_the_working_directory(repo, tmp_path):
    "As with pytest in an environment that lies in another repository."
    call = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', str(repo/'test_it.py')]
    (repo/'test_it.py').write_text('def test_it():\n    import mlkit\n    mlkit.init("code").finish()\n')
    env = {**os.environ, 'MLKIT_STORE': str(tmp_path/'s'), 'PYTHONPATH': str(ROOT)}
    subprocess.run(call, cwd=repo, check=True, capture_output=True, env=env)
    assert mlkit.runs('code', store=tmp_path/'s').latest().meta['code']['root'] == str(repo)

def test_code_of_a_project_below_the_interpreter_s_folder_is_yours(monkeypatch):
    "As with /usr/bin/python and /usr/src/app in a container."
    from mlkit.track import capture
    monkeypatch.setattr('sys.prefix', '/usr')
    monkeypatch.setattr('sys.base_prefix', '/usr')
    assert not capture._installed('/usr/src/app/train.py') and capture._installed('/usr/lib/python3/dist-packages/x/__main__.py')

def test_a_new_file_that_was_committed_later_has_not_changed(repo, tmp_path):
    "Without git's knowledge or with it, the file is the same."
    (repo/'new.py').write_text('x = 1\n')
    a = executed(repo, tmp_path/'s')
    committed(repo, 'layers = 2\nwidth = 10\n', 'second')
    b = executed(repo, tmp_path/'s')
    assert a.meta['code']['commit'] != b.meta['code']['commit'] and diff(a, b).code == ''

def test_diff_of_clean_commits_without_the_repository_names_them(repo, tmp_path):
    a = executed(repo, tmp_path/'s')
    committed(repo, 'layers = 3\nwidth = 10\n', 'second')
    b = executed(repo, tmp_path/'s')
    shutil.rmtree(repo)
    one, two = (r.meta['code']['commit'][:10] for r in (a, b))
    assert f'the commits {one} and {two} are not compared' in diff(a, b).code

def test_a_commit_from_a_file_is_no_option_of_git(repo, tmp_path):
    "A hostile run.json can't make git write a file."
    a, b = (executed(repo, tmp_path/'s') for _ in range(2))
    meta = json.loads((a.path/'run.json').read_text())
    meta['code']['commit'] = f'--index-output={tmp_path}/evil'
    (a.path/'run.json').write_text(json.dumps(meta))
    assert 'not compared' in diff(a, b).code and not (tmp_path/'evil').exists()

def test_code_in_a_diff_stays_text(store):
    a, b = run_with([1.]), run_with([2.])
    (a.path/'code').mkdir()
    (a.path/'code'/'a.py').write_text('print("<script>alert(1)</script>")')
    (b.path/'code').mkdir()
    (b.path/'code'/'b.py').write_text('')
    assert '&lt;script&gt;' in diff(a, b)._repr_html_() and '<script>' not in diff(a, b)._repr_html_()

def test_a_chart_reads_each_history_once(store, monkeypatch):
    from mlkit.track import history
    for _ in range(3):
        with mlkit.init('p') as run:
            for i in range(5): run.log(v=i, epoch=i)
    seen, read = [], history._file_part
    def counted(path, *args):
        seen.append(path)
        return read(path, *args)
    monkeypatch.setattr(history, '_file_part', counted)
    mlkit.runs('p').plot('v', x='epoch')
    assert len(seen) == len(set(seen)) == 3
