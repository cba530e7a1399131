"""Ways in which other trackers were seen to lose or corrupt data, numbered as in the study; each is a test that mlkit
does not."""
import math, warnings
from fractions import Fraction

import numpy as np
import pytest
from conftest import only, until

import mlkit

def test_01_numpy_step_does_not_poison_the_run(store):
    "A NumPy integer as step is a step, and later rows of the same metric can still be logged and read."
    run = mlkit.init('p')
    run.log(dict(s=1.), step=np.int64(4))
    run.log(dict(s=2.), step=5)
    run.log(dict(s=3.))
    h = run.history()
    assert h['_step'].tolist() == [4, 5, 6] and h['s'].tolist() == [1., 2., 3.]
    assert h['_step'].dtype == 'int64'

def test_02_infinities_and_nan_are_stored_as_they_are(store):
    "An infinity is not the largest float, and NaN is not zero."
    run = mlkit.init('p')
    for v in (math.inf, -math.inf, math.nan, 0.): run.log(x=v)
    run.finish()
    a, b, c, d = only().metric('x').value
    assert (a, b, d) == (math.inf, -math.inf, 0.) and math.isnan(c)

def test_03_steps_are_whole_and_count_on(store):
    """Half a step is refused, calls without a step don't all land on step 0, and a row logged twice is two rows until
    asked otherwise."""
    run = mlkit.init('p')
    with pytest.raises(TypeError, match='1.5'): run.log(dict(x=1.), step=1.5)
    run.log(x=1.)
    run.log(x=2.)
    run.log(dict(x=2.), step=1)
    assert run.history()['_step'].tolist() == [0, 1, 1]
    assert run.history(dedupe='last')['_step'].tolist() == [0, 1]

def test_04_dataloader_workers_log_to_the_parents_run(script):
    "Forked DataLoader workers open no stray runs, and their rows are in the parent's."
    script('''
        import mlkit, torch
        class Numbers(torch.utils.data.Dataset):
            def __len__(self): return 8
            def __getitem__(self, i):
                mlkit.log({'worker/item': i})
                return i
        run = mlkit.init('p')
        dl = torch.utils.data.DataLoader(Numbers(), batch_size=2, num_workers=2, multiprocessing_context='fork')
        for batch in dl: run.log(seen=len(batch))
        ''', ok=True)
    r = only()
    assert r.status == 'finished'
    assert sorted(r.metric('worker/item').value) == list(range(8)) and r.metric('seen').value.tolist() == [2.]*4

def test_05_an_uncaught_exception_is_no_success(script):
    "A script that dies by an exception leaves a failed run, even without a `with` block."
    r = script('''
        import mlkit
        mlkit.init('p').log(x=1.)
        raise ArithmeticError('loss exploded')
        ''')
    assert r.rc == 1 and 'loss exploded' in r.err
    assert only().status == 'failed' and only().meta['error']['message'] == 'loss exploded'

@pytest.mark.parametrize('end', ['os._exit(0)', 'os.kill(os.getpid(), 9)'])
def test_05_a_process_that_vanished_is_not_running(script, end):
    "A killed process leaves no run that says 'running' for ever, and all of its rows."
    script(f'''
        import mlkit, os
        mlkit.init('p').log(x=1.)
        {end}
        ''')
    assert only().status == 'crashed' and only().metric('x').value.tolist() == [1.]

def test_05_log_after_finish_opens_no_new_run(store):
    "`log` after `finish` is an error that says what to do, not a second run."
    run = mlkit.init('p')
    run.finish()
    with pytest.raises(RuntimeError, match='finish'): run.log(x=1.)
    with pytest.raises(RuntimeError, match='init'): mlkit.log(dict(x=1.))
    assert len(mlkit.runs('p')) == 1

def test_06_rows_of_forked_children_are_kept(script):
    "What a child of `os.fork` logs does not vanish."
    script('''
        import mlkit, os
        run = mlkit.init('p')
        run.log(x=0.)
        if not (pid := os.fork()):
            run.log(x=1.)
            os._exit(0)
        os.waitpid(pid, 0)
        run.log(x=2.)
        ''', ok=True)
    assert sorted(only().metric('x').value) == [0., 1., 2.]

def test_07_a_tensor_as_step_spoils_nothing(store):
    "A 0-d tensor is a step, and the rows around it stay."
    torch = pytest.importorskip('torch')
    run = mlkit.init('p')
    run.log(x=0.)
    run.log(dict(x=1.), step=torch.tensor(9))
    run.log(x=2.)
    assert run.history()['_step'].tolist() == [0, 9, 10]

def test_08_tensors_are_numbers(store):
    "A loss that was not converted by hand is a point of the curve, not an empty row."
    torch = pytest.importorskip('torch')
    run = mlkit.init('p')
    run.log(loss=torch.tensor(.5, requires_grad=True)*2, acc=torch.tensor(.25))
    h = run.history()
    assert h['loss'].tolist() == [1.] and h['acc'].tolist() == [.25]

def test_09_runs_have_a_status_and_an_identity(store):
    "Finished and failed runs look different, and two runs of the same name are two runs."
    mlkit.init('p', name='same').finish()
    with pytest.raises(ZeroDivisionError), mlkit.init('p', name='same'): raise ZeroDivisionError
    rows = list(mlkit.runs('p'))
    assert sorted(r.status for r in rows) == ['failed', 'finished'] and len({r.id for r in rows}) == 2

def test_10_calls_are_never_merged(store):
    "Two calls at one step are two rows, and a call without a step neither joins nor overwrites them."
    run = mlkit.init('p')
    run.log(dict(a=1.), step=5)
    run.log(dict(a=3.), step=5)
    run.log(dict(a=4.))
    h = run.history()
    assert h['_step'].tolist() == [5, 5, 6] and h['a'].tolist() == [1., 3., 4.]

def test_11_a_lower_step_is_kept(store):
    "Steps may go back: the row is stored in the order written."
    run = mlkit.init('p')
    run.log(dict(a=1.), step=10)
    run.log(dict(a=2.), step=3)
    assert run.history()['_step'].tolist() == [10, 3] and run.history()['a'].tolist() == [1., 2.]

@pytest.mark.parametrize('n', [3, 100])
def test_11_a_vector_stays_what_it_is(store, n):
    "An array of several elements comes back element by element, never as a histogram."
    run = mlkit.init('p')
    run.log(v=np.arange(n))
    assert run.events('value')[-1]['value'] == list(range(n))

def test_11_config_keeps_nan_and_sets(store):
    "NaN in the config is not null."
    run = mlkit.init('p', config=dict(clip=math.nan, most=math.inf, names={'b', 'a'}))
    run.finish()
    c = only().config
    assert math.isnan(c['clip']) and c['most'] == math.inf and sorted(c['names']) == ['a', 'b']

def test_11_a_huge_integer_is_no_infinity(store):
    "10**400 is kept exactly or warned about and counted; it never becomes infinity."
    run = mlkit.init('p')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        run.log(a=1., big=10**400)
    kept = [e['value'] for e in run.events('value') if e['key'] == 'big']
    assert run.dropped == 1 or (len(kept) == 1 and int(kept[0]) == 10**400)
    assert run.history()['a'].tolist() == [1.]

@pytest.mark.parametrize('key', ['', '_step', '_timestamp', '_time'])
def test_11_reserved_and_empty_names_are_refused(store, key):
    "No metric can overwrite mlkit's own columns or lose its value under an empty name."
    run = mlkit.init('p')
    with pytest.raises(ValueError): run.log({key: 1.})
    assert len(run.history()) == 0

def test_12_any_object_may_stand_in_the_config(store):
    "A config value without a form in JSON does not kill `init`, nor does such a value kill `log`."
    run = mlkit.init('p', config=dict(model=object(), act=math.sin, lr=.1, part=Fraction(1, 3)))
    with pytest.warns(UserWarning, match="'o'.*object"): run.log(o=object(), x=1.)
    run.finish()
    assert only().config['lr'] == .1 and only().metric('x').value.tolist() == [1.]

def test_13_14_a_notebook_that_fails_says_so(kernel):
    "In a headless kernel, a cell that raises marks the run, and the source of the cells is stored."
    k = kernel(MLKIT_CODE='1')
    k.run("import mlkit\nrun = mlkit.init('p')\nrun.log(x=1.)")
    assert k.run("raise LookupError('no such column')")[1] == 'LookupError'
    k.shutdown()
    r = only()
    assert r.status == 'failed' and r.meta['error']['type'] == 'LookupError'
    cells = until(lambda: (r.path/'code'/'cells.jsonl').exists() and (r.path/'code'/'cells.jsonl').read_text())
    assert 'run.log(x=1.)' in cells

def test_15_a_refused_name_leaves_the_run_readable(store):
    "After a metric without a name was refused, metrics can be listed and steps are those logged."
    run = mlkit.init('p')
    with pytest.raises(ValueError): run.log({'': 1.})
    run.log(dict(a=1.), step=487)
    assert [c for c in run.history() if c[0] != '_'] == ['a'] and run.history()['_step'].tolist() == [487]

def test_16_a_name_is_never_a_path(store):
    "A metric called '../esc' writes nothing outside the run's history; text and tensors are accepted."
    run = mlkit.init('p')
    run.log({'../esc': 1., '../text': 'hello', '/abs': 2.})
    run.finish()
    assert not [f for f in store.parent.rglob('*') if 'esc' in f.name or 'abs' in f.name]
    assert only().metric('../esc').value.tolist() == [1.]

def test_17_large_integers_stay_exact_and_nothing_reopens(store):
    "Integers above 2**53 are not rounded, and logging to a closed run raises."
    run = mlkit.init('p')
    for v in (2**53 + 1, 2**63 - 1, -2**63): run.log(n=v)
    assert [int(v) for v in run.history()['n']] == [2**53 + 1, 2**63 - 1, -2**63]
    run.finish()
    with pytest.raises(RuntimeError): run.log(n=1)
