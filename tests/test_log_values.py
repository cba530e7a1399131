"What may be logged, under which names, at which steps, and that all of it reads back exactly."
import math, warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from conftest import only
from hypothesis import HealthCheck, given, settings, strategies as st

import mlkit

@pytest.fixture
def run(store): return mlkit.init('p')

def values(run, key='v'):
    "The values of `key`, as the reader of the files sees them."
    return run.history()[key].dropna().tolist()

def segments(run): return sorted((run.path/'history').glob('*.npy'))

# --- numbers

NUMBERS = dict(int=3, zero=0, true=True, false=False, float=.1, tiny=5e-324, negative_zero=-0.,
    decimal=Decimal('0.25'), fraction=Fraction(1, 8),
    np_float16=np.float16(.5), np_float32=np.float32(.1), np_float64=np.float64(.1), np_int8=np.int8(-3),
    np_uint64=np.uint64(2**60),
    np_bool=np.bool_(True), array_0d=np.array(2.5), array_0d_int=np.array(7), longdouble=np.longdouble(1.5),
    exact=2**53 + 1, largest=2**63 - 1, smallest=-2**63)

@pytest.mark.parametrize('warm', [False, True], ids=['first', 'after floats'])
@pytest.mark.parametrize('v', NUMBERS.values(), ids=NUMBERS)
def test_numbers(run, v, warm):
    "Whatever stands for a real number is one, on the first call and on the quick path that floats have taken before."
    for _ in range(3*warm): run.log(v=.5)
    run.log(v=v)
    run.log(v=.5)
    got = run.history()['v'].tolist()[3*warm]
    want = v if isinstance(v, int) else float(v) if not isinstance(v, np.integer) else int(v)
    assert got == want and math.copysign(1, got) == math.copysign(1, want)
    assert run.dropped == 0 and run.events('value') == []

@pytest.mark.parametrize('warm', [False, True], ids=['first', 'after floats'])
@pytest.mark.parametrize('make', ['tensor(1.5)', 'tensor(1.5, requires_grad=True)',
    'tensor(1.5, dtype=torch.bfloat16)', 'tensor(1.5, dtype=torch.float16)',
    'tensor(3)', 'tensor(True)', 'tensor([1.5])', 'tensor(2**60 + 1)', 'nn.Parameter(torch.tensor(1.5))'])
def test_torch_scalars(run, make, warm):
    "A tensor of one element is a number, whatever its type and whether or not it carries a gradient."
    torch = pytest.importorskip('torch')
    v = eval('torch.' + make, dict(torch=torch))
    for _ in range(3*warm): run.log(v=.5)
    run.log(v=v)
    assert run.history()['v'].tolist()[-1] == v.item()
    assert run.dropped == 0 and run.events('value') == []

@pytest.mark.parametrize('v', [math.nan, math.inf, -math.inf])
def test_non_finite(run, v):
    "NaN and infinities are values: they come back from history, summary and file, and a NaN is not a missing row."
    run.log(v=v, w=1.)
    run.finish()
    same = (lambda x: math.isnan(x)) if math.isnan(v) else (lambda x: x == v)
    r = only()
    assert same(r.history()['v'].iloc[0]) and same(r.summary['v']) and same(float(np.load(segments(run)[0])['v'][0]))

def test_nan_on_the_quick_path(run):
    "A NaN that comes after a thousand floats is still there, with its row."
    for i in range(1000): run.log(v=float(i))
    run.log(v=math.nan)
    assert len(run.history()) == 1001 and math.isnan(run.history()['v'].iloc[-1])

@pytest.mark.parametrize('v', [2**63, -2**63 - 1, 2**64, 10**30])
def test_beyond_int64(run, v):
    "An integer beyond 64 bits becomes the nearest float, with a warning; it is not dropped."
    with pytest.warns(UserWarning, match='64 bits'): run.log(v=v)
    assert values(run) == [float(v)]

def test_beyond_float(run):
    "10**400 has no float: it is kept exactly as an event, or warned about and counted."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        run.log(v=10**400)
    kept = [e['value'] for e in run.events('value')]
    assert [int(v) for v in kept] == [10**400] or (run.dropped == 1 and len(said) == 1)

def test_mixed_types_of_one_metric(run):
    "A metric may be an int now and a float then: the order and every value stay, large integers exactly."
    logged = [1, 2., 2**60 + 1, .5, True, np.float32(.25), 3]
    for v in logged: run.log(v=v)
    assert run.history()['v'].tolist() == [float(v) if isinstance(v, np.floating) else v for v in logged]

def test_arrays_reused_by_the_loop(run):
    "A 0-d array that the loop changes in place is read at the call, not later."
    a = np.zeros(())
    for i in range(5):
        a[...] = i
        run.log(v=a)
    assert values(run) == [0., 1., 2., 3., 4.]

def test_tensors_changed_after_the_call(run):
    "A tensor that the loop changes in place afterwards does not change what was logged."
    torch = pytest.importorskip('torch')
    t = torch.zeros(())
    for _ in range(5):
        run.log(v=t)
        t += 1
    assert values(run) == [0., 1., 2., 3., 4.]

def test_order_of_names(run):
    "The values follow their names, in whatever order a call gives them."
    run.log(a=1., b=2.)
    run.log(b=4., a=3.)
    run.log({'b': 6, 'a': 5})
    assert values(run, 'a') == [1., 3., 5.] and values(run, 'b') == [2., 4., 6.]

def test_keyword_and_dict(run):
    "A dict and keywords may be used together."
    run.log({'a/b': 1.}, c=2.)
    assert values(run, 'a/b') == [1.] and values(run, 'c') == [2.]

def test_the_dict_is_not_kept(run):
    "The loop may reuse and change the dict that it logs."
    d = dict(a=1.)
    run.log(d)
    d['a'] = 2.
    d['b'] = 3.
    run.log(d)
    assert values(run, 'a') == [1., 2.] and values(run, 'b') == [3.] and d == dict(a=2., b=3.)

def test_none_is_skipped(run):
    """None is no value: the other metrics of the call are there and no column appears; a call of nothing but None is
    no error."""
    run.log(a=1., b=None)
    run.log(b=None)
    run.log({'a': 2., 'c': {'d': None}})
    assert values(run, 'a') == [1., 2.] and {'b', 'c/d'}.isdisjoint(run.history())
    assert run.dropped == 0 and run.events('value') == []

def test_nested_dicts(run):
    "Nested dicts become 'a/b'; a name that is there twice is an error, not a lottery."
    run.log({'train': {'loss': 1., 'top': {'1': .5}}, 'lr': .1})
    assert {'train/loss', 'train/top/1', 'lr'} <= set(run.history())
    with pytest.raises(ValueError, match='a/b'): run.log({'a': {'b': 1.}, 'a/b': 2.})

# --- what is no number

def test_everything_else_goes_to_events(run):
    """Text, lists and dicts in lists come back from `events()` with their step; the numbers of the call go to the
    history."""
    run.log(dict(x=1., note='warm-up', boxes=[[1, 2.5], [3, 4]], best=[dict(lr=.1, ok=True, none=None)]), step=7)
    got = {e['key']: e for e in run.events('value')}
    assert got['note']['value'] == 'warm-up' and got['boxes']['value'] == [[1, 2.5], [3, 4]]
    assert got['best']['value'] == [dict(lr=.1, ok=True, none=None)]
    assert {e['step'] for e in got.values()} == {7} and run.history()['_step'].tolist() == [7]

@pytest.mark.parametrize('text', ['', ' ', 'ünï ☃ 🎉', 'a\nb\r\nc', '\x00\x1f', '\u2028', '{"$float": "nan"}', '"',
    '\\', '\ud800', 'x'*100_000],
    ids=lambda s: ascii(s[:12]))
def test_any_text(run, text):
    "Any text survives, line ends and half surrogates too, and spoils no other event."
    run.log(before='b', t=text, after='a')
    assert [e['value'] for e in run.events('value')] == ['b', text, 'a']

def test_a_dict_that_looks_like_our_own_float(run):
    "A list that holds `{'$float': 'nan'}` comes back as it was or not at all, but breaks nothing."
    run.log(v=[{'$float': 'nan'}, {'$float': 'no number'}], w='after')
    assert [e['value'] for e in run.events('value') if e['key'] == 'w'] == ['after']

def test_steps_of_text_and_numbers_agree(run):
    "Calls that log only text take steps too, so that both kinds of rows line up."
    run.log(x=1.)
    run.log(note='a')
    run.log(x=2.)
    assert run.history()['_step'].tolist() == [0, 2] and run.events('value')[0]['step'] == 1

def test_a_table_and_a_figure_become_files(run):
    "A DataFrame and a figure handed to `log` lie in `files/` and are linked with their key and step."
    import matplotlib, pandas as pd
    matplotlib.use('agg')
    from matplotlib.figure import Figure
    fig = Figure()
    fig.subplots().plot([1, 2])
    run.log({'../table': pd.DataFrame(dict(a=[1, 2])), 'fig': fig, 'x': 1.}, step=3)
    got = {e['key']: e for e in run.events('file')}
    assert set(got) == {'../table', 'fig'} and {e['step'] for e in got.values()} == {3}
    saved = {k: (run.path/'files'/e['path']).resolve() for k,e in got.items()}
    assert all((run.path/'files').resolve() in p.parents for p in saved.values())
    assert saved['fig'].read_bytes()[:4] == b'\x89PNG' and pd.read_csv(saved['../table'])['a'].tolist() == [1, 2]
    assert values(run, 'x') == [1.]

class Odd:
    "Something that no tracker can keep."
    def __repr__(self): raise RuntimeError('not even a name')

def test_objects_are_dropped_with_one_warning(run):
    "What can't be kept is warned about once, with name and type, and counted; the rest of the call is there."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        for i in range(5): run.log(x=float(i), model=Odd())
    assert len(said) == 1 and "'model'" in str(said[0].message) and 'Odd' in str(said[0].message)
    assert said[0].filename == __file__, 'the warning points at the line that called log'
    assert run.dropped == 5 and values(run, 'x') == [0., 1., 2., 3., 4.]

def test_each_trouble_has_its_warning(run):
    "A warning about one metric does not silence the one about another."
    with pytest.warns(UserWarning, match="'big'"): run.log(big=2**64)
    with pytest.warns(UserWarning, match="'model'"): run.log(model=Odd())
    with pytest.warns(UserWarning, match="'data'"): run.log(data=Odd())

class Hostile:
    "A value whose every question raises."
    def __float__(self): raise RuntimeError('no')
    def __getattr__(self, k): raise RuntimeError(k)

def test_a_value_that_raises_does_not_stop_the_training(run):
    "An object that misbehaves when it is looked at is dropped like any other."
    with pytest.warns(UserWarning, match="'h'"): run.log(x=1., h=Hostile())
    assert values(run, 'x') == [1.] and run.dropped == 1

@pytest.mark.parametrize('v', [1 + 2j, b'bytes', {1, 2}, range(3), float, len, np.array(['a']), np.array([1 + 2j]),
    np.datetime64('2026-01-01'), [object()]],
    ids=lambda v: ascii(v)[:20])
def test_other_kinds_are_kept_or_counted(run, v):
    "Whatever is logged is either kept or counted, never lost in silence, and never an exception."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        run.log(x=1., v=v)
    kept = 'v' in run.history() or any(e['key'] == 'v' for e in run.events())
    assert kept or (run.dropped == 1 and len(said) == 1)
    assert values(run, 'x') == [1.]

def test_large_arrays_go_to_a_file(run):
    "An array with too many elements for a line of text is kept whole."
    run.log(w=np.arange(100_000.))
    (e,) = run.events()[-1:]
    kept = e['value'] if e['kind'] == 'value' else np.load(run.path/'files'/e['path']).tolist()
    assert kept == list(range(100_000))

# --- names

KEYS = ['a', 'A', ' a b ', 'train/loss', '../x', '/abs', 'a//b', 'a\\b', "it's", 'say "x"', '{a: 1}', '%s', 'ünï',
    '损失', '🎉', 'values', 'x'*500, '语'*500,
    'step', 'time', 'rank', 'con', 'sys', '-', '0', '\u2028', '\u00a0', '\ud800', "', 'descr': '"]

@pytest.mark.parametrize('key', KEYS, ids=lambda k: ascii(k[:12]))
def test_names(run, key):
    "Any non-empty text is a name, comes back as it was, live and finished, and never becomes a file's name."
    run.log({key: 1., 'other': 2.})
    run.log({key: 2., 'other': 2.})
    want = key if key != '\ud800' else '\ufffd'          # half a surrogate pair has no UTF-8
    assert values(run, want) == [1., 2.]
    run.finish()
    assert only().metric(want).value.tolist() == [1., 2.] and only().summary[want] == 2.
    for p in segments(run): assert np.load(p, mmap_mode='r').dtype.names is not None
    files = [p.name for p in (run.path/'history').iterdir()]
    assert all(f.isascii() and len(f) < 60 for f in files)
    assert len(key) < 2 or not any(key in f.split('.') for f in files)

def test_all_names_at_once(run):
    "The names don't get into each other's way in one row."
    row = {k: float(i) for i,k in enumerate(KEYS)}
    run.log(row)
    h = run.history().drop(columns=['_step', '_time'])
    assert h.iloc[0].tolist() == list(row.values())

def test_unicode_forms_are_one_name(run):
    "The two ways to write an accented letter are one metric (NFC)."
    run.log({'e\u0301': 1.})
    run.log({'\u00e9': 2.})
    assert values(run, '\u00e9') == [1., 2.]

@pytest.mark.parametrize('key', ['', '_x', '_step', '_time', '_rank', '__', 'a\nb', 'a\x00', '\t', 'a\x7f'], ids=ascii)
@pytest.mark.parametrize('warm', [False, True], ids=['first', 'warm'])
def test_refused_names(run, key, warm):
    """An empty name, mlkit's own prefix and control characters are refused by a message that names the key; nothing is
    written."""
    for _ in range(3*warm): run.log(a=1.)
    with pytest.raises(ValueError, match='name|key') as e: run.log({'a': 1., key: 1.})
    assert repr(key) in str(e.value) or not key
    assert len(run.history()) == 3*warm

@pytest.mark.parametrize('key', [1, None, ('a', 'b'), b'a', 1.5])
def test_names_are_text(run, key):
    "A name that is no text is a TypeError at the call, nested too."
    with pytest.raises(TypeError, match='name|key'): run.log({key: 1.})
    with pytest.raises(TypeError): run.log({'a': {key: 1.}})

@pytest.mark.parametrize('what', [3., 'loss', ['loss'], [('loss', 1.)], {'loss'}])
def test_log_takes_a_dict(run, what):
    "Anything but a mapping is a TypeError that shows how to call `log`."
    with pytest.raises(TypeError, match='dict|log'): run.log(what)

def test_mappings_that_are_no_dict(run):
    "Any Mapping will do."
    from collections import OrderedDict, UserDict
    run.log(UserDict(a=1.))
    run.log(OrderedDict(a=2.))
    assert values(run, 'a') == [1., 2.]

def test_str_subclasses(run):
    "A subclass of str, as NumPy and enums give, is a name."
    from enum import Enum
    class Name(str, Enum): LOSS = 'loss'
    run.log({np.str_('acc'): 1., Name.LOSS: 2.})
    run.log({'acc': 3., 'loss': 4.})
    assert values(run, 'acc') == [1., 3.] and values(run, 'loss') == [2., 4.]

# --- steps

STEPS = [(5, 5), (0, 0), (-1, -1), (True, 1), (np.int64(3), 3), (np.uint8(3), 3), (np.array(3), 3), (3., 3),
    (np.float32(3.), 3), (2**63 - 1, 2**63 - 1),
    (-2**63, -2**63)]

@pytest.mark.parametrize('warm', [False, True], ids=['first', 'warm'])
@pytest.mark.parametrize('step,want', STEPS, ids=lambda v: repr(v))
def test_steps(run, step, want, warm):
    "Anything with `__index__`, and whole floats, are steps, on both paths of `log`."
    for _ in range(3*warm): run.log(a=1.)
    run.log(dict(a=2.), step=step)
    assert run.history()['_step'].tolist()[-1] == want

def test_tensor_steps(run):
    "0-d tensors are steps when they are whole."
    torch = pytest.importorskip('torch')
    for t in (torch.tensor(3), torch.tensor(4.), torch.tensor(True)): run.log(dict(a=1.), step=t)
    assert run.history()['_step'].tolist() == [3, 4, 1]
    with pytest.raises(TypeError): run.log(dict(a=1.), step=torch.tensor(.5))

@pytest.mark.parametrize('warm', [False, True], ids=['first', 'warm'])
@pytest.mark.parametrize('step', [1.5, '3', [3], (3,), {}, math.nan, math.inf, object(), 1 + 0j, np.array([1, 2])],
    ids=lambda v: ascii(v)[:12])
def test_steps_that_are_none(run, step, warm):
    "Anything else is a TypeError at the call that shows the value; no row is written and no step is used up."
    for _ in range(3*warm): run.log(a=1.)
    with pytest.raises(TypeError, match='step'): run.log(dict(a=1.), step=step)
    run.log(a=1.)
    assert run.history()['_step'].tolist() == list(range(3*warm + 1))

@pytest.mark.parametrize('step', [2**63, -2**63 - 1, 2**70, 1e30])
def test_steps_beyond_64_bits(run, step):
    "A step that does not fit 64 bits is a ValueError at the call."
    run.log(a=1.)
    with pytest.raises(ValueError, match='step'): run.log(dict(a=1.), step=step)
    assert run.history()['_step'].tolist() == [0]

def test_after_the_last_step(run):
    "Counting on from the largest step is an error with a name or a row, never a crash of another kind."
    run.log(dict(a=1.), step=2**63 - 1)
    try: run.log(a=2.)
    except ValueError as e: assert 'step' in str(e)
    run.log(dict(a=3.), step=1)
    assert run.history()['a'].tolist()[-1] == 3.

def test_steps_count_on(run):
    "Without a step the row after the last one is meant, whatever that was, and nothing is merged."
    for kw in ({}, {}, dict(step=10), {}, dict(step=3), {}, dict(step=3)): run.log(dict(a=1.), **kw)
    assert run.history()['_step'].tolist() == [0, 1, 10, 11, 3, 4, 3]

def test_steps_are_the_runs(run):
    "The counter is the run's, not the metric's."
    run.log(a=1.)
    run.log(b=1.)
    run.log(dict(a=1.), step=5)
    run.log(c=1.)
    assert run.history()['_step'].tolist() == [0, 1, 5, 6]

# --- reading

def test_history_keeps_all_rows_in_the_order_written(run):
    "`history()` is what was written: repeats and steps that go back, metrics of different calls in one table."
    rows = [(5, dict(a=1.)), (5, dict(a=2.)), (3, dict(b=3.)), (5, dict(b=4.)), (3, dict(a=5., b=6.))]
    for s, d in rows: run.log(d, step=s)
    h = run.history()
    assert h['_step'].tolist() == [s for s,_ in rows]
    for i, (_, d) in enumerate(rows): assert h[['a', 'b']].iloc[i].dropna().to_dict() == d
    assert (h['_time'].diff().dropna() >= 0).all()

def test_history_with_the_last_of_each_step(run):
    """`dedupe='last'` keeps the last row of a step, in the order written, without losing a metric that another call
    logged there."""
    for s, a in ((1, 1.), (2, 2.), (1, 3.), (3, 4.)): run.log(dict(a=a), step=s)
    run.log(dict(b=9.), step=2)
    h = run.history(dedupe='last')
    assert sorted(h['_step'].unique()) == [1, 2, 3]
    assert {s: h[h['_step'] == s]['a'].dropna().tolist() for s in (1, 2, 3)} == {1: [3.], 2: [2.], 3: [4.]}
    assert h['b'].dropna().tolist() == [9.]

def test_history_by_step(run):
    "`by='step'` brings together what several calls logged at one step, the last value of each metric, sorted."
    run.log(dict(a=1.), step=2)
    run.log(dict(b=2.), step=2)
    run.log(dict(a=3.), step=1)
    run.log(dict(a=4.), step=2)
    h = run.history(by='step')
    assert h['_step'].tolist() == [1, 2] and h['a'].tolist() == [3., 4.] and math.isnan(h['b'].iloc[0])
    assert h['b'].iloc[1] == 2.

def test_history_of_some_metrics(run):
    "`history(['a'])` has the rows that hold one of them."
    run.log(a=1.)
    run.log(b=2.)
    h = run.history(['a'])
    assert set(h) == {'_step', 'a', '_time'} and len(h) == 1

def test_an_empty_history(run):
    "A run that logged nothing has an empty table with the columns that every history has."
    assert len(run.history()) == 0 and {'_step', '_time'} <= set(run.history())
    for kw in (dict(by='step'), dict(dedupe='last'), dict(keys=['a'])): assert len(run.history(**kw)) == 0

@pytest.mark.parametrize('kw', [dict(by='epoch'), dict(dedupe='first')])
def test_history_arguments(run, kw):
    "A wrong argument lists the right ones."
    with pytest.raises(ValueError, match='step|last'): run.history(**kw)

def test_resume_at_an_earlier_step(store):
    "Resuming at an earlier step keeps the abandoned rows and marks them; a metric and the summary leave them out."
    run = mlkit.init('p')
    for s in range(5): run.log(dict(a=float(s)), step=s)
    run.finish()
    run = mlkit.init('p', resume=run.id)
    run.log(dict(a=100.), step=3)
    run.log(dict(a=101.))
    run.finish()
    h = only().history()
    assert h['_step'].tolist() == [0, 1, 2, 3, 4, 3, 4] and h['a'].tolist() == [0., 1., 2., 3., 4., 100., 101.]
    assert h['_superseded'].tolist() == [False]*3 + [True]*2 + [False]*2
    assert only().metric('a').value.tolist() == [0., 1., 2., 100., 101.] and only().summary['a'] == 101.
    assert only().history(by='step')['a'].tolist() == [0., 1., 2., 100., 101.]

def test_resume_twice_at_earlier_steps(store):
    "Each resume replaces what the sessions before it wrote from its first step on, whoever wrote it."
    run = mlkit.init('p')
    for steps, base in ((range(10), 0), ((5, 6, 7), 100), ((3, 4), 200)):
        if base: run = mlkit.init('p', resume=run.id)
        for s in steps: run.log(dict(a=float(base + s)), step=s)
        run.finish()
    h = only().history()
    assert len(h) == 15 and h[~h['_superseded']]['a'].tolist() == [0., 1., 2., 203., 204.]
    assert only().metric('a').value.tolist() == [0., 1., 2., 203., 204.] and only().summary['a'] == 204.

def test_resume_that_counts_on_supersedes_nothing(store):
    "Resuming without a step goes on after the last one, and no row is marked."
    run = mlkit.init('p')
    for s in range(3): run.log(a=float(s))
    run.finish()
    run = mlkit.init('p', resume=run.id)
    run.log(a=3.)
    run.finish()
    h = only().history()
    assert h['_step'].tolist() == [0, 1, 2, 3] and not h.get('_superseded', h['a'] < 0).any()

# --- any sequence of calls

names = st.text(st.characters(exclude_categories=['Cs', 'Cc', 'Cn']), min_size=1, max_size=12)
names = names.filter(lambda k: k[0] != '_' and k.strip() and not k.startswith('sys/'))
numbers = st.floats() | st.floats(width=32) | st.integers(-2**63, 2**63 - 1) | st.booleans()
metrics = st.dictionaries(st.sampled_from('abcde') | names, numbers, min_size=1, max_size=4)
calls = st.lists(st.tuples(st.none() | st.integers(-2**62, 2**62), metrics), max_size=25)

def exactly(got, want):
    "Equality that knows NaN and does not round integers."
    if isinstance(want, float) and math.isnan(want): return math.isnan(got)
    return int(got) == want if isinstance(want, int) else got == want

@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls)
def test_any_sequence_of_calls_reads_back(store, calls):
    """Whatever keys, numbers and steps: every row is there in the order written, and `numpy.load` reads each file,
    live and finished."""
    from unicodedata import normalize
    run, last, want = mlkit.init('h'), -1, []
    for step, row in calls:
        row = {normalize('NFC', k): v for k,v in row.items()}
        run.log(row, step=step)
        last = last + 1 if step is None else step
        want.append((last, row))
    check_files(run, want, live=True)
    run.finish()
    check_files(run, want, live=False)
    for h in (run.history(), mlkit.Store().get(run.id).history()):
        assert h['_step'].tolist() == [s for s,_ in want]
        assert set(h) - {'_step', '_time'} == {k for _,r in want for k in r}
        for i, (_, row) in enumerate(want):
            for k in set(h) - {'_step', '_time'}:
                got = h[k].iloc[i]
                assert exactly(got, row[k]) if k in row else math.isnan(got), (i, k)

def check_files(run, want, live):
    """The documented format: `_step` first, a column a metric, `_time` last, 0 where no record is; the shape is the
    count once finished."""
    seen = 0
    for p in segments(run):
        a = np.load(p, mmap_mode='r')
        assert a.dtype.names[0] == '_step' and a.dtype.names[-1] == '_time' and a.dtype['_step'] == '<i8'
        assert a.dtype['_time'] == '<f8'
        there = a['_time'] != 0
        assert live or there.all()
        rows = [(s, r) for s, r in want if set(r) == set(a.dtype.names[1:-1])]
        assert there.sum() <= len(rows)
        seen += int(there.sum())
    assert seen == len(want)

two = st.dictionaries(st.sampled_from('ab'), st.integers(0, 99), min_size=1)
small = st.lists(st.tuples(st.integers(0, 3), two), min_size=1, max_size=12)

@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(small)
def test_rows_of_one_step_come_together_as_a_dict_would(store, calls):
    "`by='step'` is what updating a dict for each step gives, and `dedupe='last'` what a dict of step and names gives."
    with mlkit.init('h') as run:
        for step, row in calls: run.log(row, step=step)
    merged, last = {}, {}
    for step, row in calls:
        merged.setdefault(step, {}).update(row)
        last.pop((step, frozenset(row)), None)
        last[step, frozenset(row)] = row
    def rows(h):
        there = h[[k for k in h if k[0] != '_']]
        return [(s, there.iloc[i].dropna().to_dict()) for i, s in enumerate(h['_step'])]
    assert rows(run.history(by='step')) == sorted(merged.items())
    assert rows(run.history(dedupe='last')) == [(s, r) for (s, _), r in last.items()]
