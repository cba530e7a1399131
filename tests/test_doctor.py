"The doctor judges whatever it is given: facts that make no sense, checks that hang or crash, plugins that don't load."
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit.compute import doctor as module_or_function  # the function, though a module has its name
from mlkit.compute.doctor import (CHECKS, FACTS, Change, Check, Context, Fact, Missing, Report, Result, fail, judge, load_checks,
    load_report, na, ok, past_machine, warn)
from mlkit.core.devices import NoDevices, Scripted

doctor = sys.modules['mlkit.compute.doctor'].doctor
ROOT = Path(__file__).parent.parent

@pytest.fixture
def registry(monkeypatch):
    "A registry of one's own: `add(name, fn, ...)` registers a check in it."
    module = sys.modules['mlkit.compute.doctor']
    monkeypatch.setattr(module, 'CHECKS', {})
    monkeypatch.setattr(module, 'FACTS', dict(FACTS))
    monkeypatch.setattr(module, 'load_checks', lambda: ())
    def add(name, fn, needs=(), level='quick', limit=5., group='g'):
        module.CHECKS[name] = Check(name, fn, group, tuple(needs), level, limit)
    add.facts = module.FACTS
    return add

def bare(**facts): return Context(facts=facts, live=False, env={})


# ---- the interface

def test_the_name_is_the_function():
    "`from mlkit.compute import doctor` gives the function, and the module can be imported all the same."
    assert callable(module_or_function)
    import mlkit.compute.doctor as m
    assert m is sys.modules['mlkit.compute.doctor'] or callable(m)

def test_a_problem_needs_a_remedy():
    for make in (warn, fail):
        with pytest.raises(TypeError): make('bad')

def test_a_hanging_check_costs_its_own_time_only(registry, tmp_path):
    "A driver that doesn't come back, in one check: that one crashes, the others answer."
    registry('hangs', lambda ctx: time.sleep(30), limit=.05)
    registry('fine', lambda ctx: ok('well'))
    start = time.monotonic()
    r = doctor(context=bare(), store=tmp_path)
    assert [o.status for o in r] == ['crash', 'ok'] and 'no answer within 0.05 s' in r[0].value
    assert time.monotonic() - start < 20

def test_hanging_facts_are_read_once(registry, tmp_path):
    "Facts that can't be read are waited for once, whoever asks for them; what needs them isn't asked."
    n = []
    def slow(ctx): n.append(1); time.sleep(30)
    registry.facts['slow'] = Fact('slow', slow, .05)
    for i in range(5): registry(f'c{i}', lambda ctx: ok(ctx['slow']), needs=['slow.x'] if i else [])
    r = doctor(context=Context(NoDevices(), env={}), store=tmp_path)
    assert len(n) == 1 and [o.status for o in r] == ['crash', *['na']*4]
    assert all('no answer within 0.05 s' in o.value for o in r)

def test_facts_may_build_on_facts(registry):
    "A section may be read from another one."
    registry.facts['a'] = Fact('a', lambda ctx: dict(x=ctx['b']['y'] + 1), 5)
    registry.facts['b'] = Fact('b', lambda ctx: dict(y=1), 5)
    registry.facts['loop'] = Fact('loop', lambda ctx: ctx['loop'], .05)
    ctx = Context(NoDevices(), env={})
    assert ctx.get('a.x') == 2
    with pytest.raises(Missing, match='no answer'): ctx['loop']

@pytest.mark.parametrize('wrong', [None, 'ok', 3, Result(status='splendid'), ValueError, KeyboardInterrupt, SystemExit])
def test_a_check_that_is_wrong(registry, tmp_path, wrong):
    "A check that raises anything, or gives something else than a result, is itself the finding."
    def fn(ctx):
        if isinstance(wrong, type): raise wrong('oh')
        return wrong
    registry('wrong', fn)
    r, = doctor(context=bare(), store=tmp_path)
    assert r.status == 'crash' and r.value and r.name == 'wrong'

def test_levels_and_choice(registry, tmp_path):
    "The quick doctor leaves out the slow checks; one that is named is asked."
    registry('fast', lambda ctx: ok(), group='a')
    registry('slow', lambda ctx: ok(), level='full', group='b')
    def names(*args, **kw): return [r.name for r in doctor(*args, context=bare(), store=tmp_path, **kw)]
    assert names() == ['fast'] and names('full') == ['fast', 'slow'] and names(only='b') == ['slow'] and names(only=[]) == []
    seen = []
    names(each=lambda r: seen.append(r.name))
    assert seen == ['fast']

def test_needs(registry, tmp_path):
    "A check isn't asked about what isn't known, and the words say what that is."
    registry('dev', lambda ctx: ok(), needs=['devices'])
    registry('live', lambda ctx: ok(), needs=['live'])
    registry('deep', lambda ctx: ok(), needs=['host.shm.total_gb'])
    registry('none', lambda ctx: ok(), needs=['nosuch.x'])
    r = {o.name: o for o in doctor(context=bare(host=dict(shm=None), gpu=dict(devices=[])), store=tmp_path)}
    assert {o.status for o in r.values()} == {'na'}
    assert [r[k].value for k in ('dev', 'live', 'deep')] == ['no GPU', 'can only be asked on the machine itself',
        'not known: host.shm.total_gb']
    assert "no facts called 'nosuch'" in r['none'].value

def test_a_plugin_that_does_not_load(tmp_path):
    "An entry point adds checks; one that fails is reported, and costs nothing else."
    (tmp_path/'ours.py').write_text('from mlkit.compute.doctor import check, ok\n'
        '@check("ours", group="ours")\ndef c(ctx): return ok("yes")\n')
    info = tmp_path/'ours-1.dist-info'
    info.mkdir()
    (info/'METADATA').write_text('Metadata-Version: 2.1\nName: ours\nVersion: 1\n')
    (info/'entry_points.txt').write_text('[mlkit.checks]\nours = ours\nbad = no_such_module\n')
    code = 'from mlkit.compute.doctor import doctor, Context\nr = doctor(context=Context(facts={}, live=False, env={}))\n' \
        'print([(o.name, o.status) for o in r if "ours" in o.name or "bad" in o.name])'
    env = dict(os.environ, PYTHONPATH=f'{ROOT}{os.pathsep}{tmp_path}')
    p = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert p.stdout.strip() == "[('checks of bad', 'crash'), ('ours', 'ok')]", p.stdout + p.stderr


# ---- hostile facts

json_like = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda o: st.lists(o, max_size=3) | st.dictionaries(st.text(max_size=8), o, max_size=3), max_leaves=10)

@st.composite
def mutated(draw, facts):
    "Facts of a real machine with something else in a few places."
    found = json.loads(json.dumps(facts))
    for _ in range(draw(st.integers(1, 4))):
        at = found
        for _ in range(draw(st.integers(0, 4))):
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            inner = [k for k in keys if isinstance(at[k], (dict, list)) and at[k]]
            if not inner: break
            at = at[draw(st.sampled_from(inner))]
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if keys: at[draw(st.sampled_from(keys))] = draw(json_like)
    return found

def machine():
    "The facts of this machine with two cards in it."
    card = dict(name='NVIDIA A100-SXM4-80GB', uuid='GPU-1', memory_gb=80., used_gb=3., util=10., temp_c=50.,
        power_w=80., power_limit_w=400., reasons=['gpu_idle'], pcie_gen=4, pcie_gen_max=4, pcie_width=16, pcie_width_max=16,
        ecc=True, ecc_uncorrected=0,
        capability=[8, 0], processes=[dict(pid=1, used_gb=1., user='ada', name='python')], mig=False, compute_mode='default')
    ctx = Context(Scripted([dict(card, index=i) for i in range(2)]), env=dict(CUDA_VISIBLE_DEVICES='0'))
    for section in ('host', 'software', 'gpu'): ctx[section]
    return json.loads(json.dumps(ctx.facts))

FACTS_HERE = machine()

def healthy(report):
    "Whatever is in it, a report can be shown, kept and compared."
    assert [o for o in report if o.status in ('warn', 'fail') and not o.remedy] == []
    assert report.exit_code in (0, 1, 2)
    text, html = report.text(80, False), report._repr_html_()
    assert text and html.count('<table') == html.count('</table>')
    assert json.loads(report.json())['results'] is not None and len(report.df) == len(report)
    report.diff(Report([], FACTS_HERE))
    return report

@settings(max_examples=60, deadline=None)
@given(mutated(FACTS_HERE))
def test_facts_that_make_no_sense(facts):
    "All checks there are, on facts of which some are garbage: a report, and no check that crashes on what was noted down."
    load_checks()
    healthy(doctor(context=bare(**facts), store='/no/such/store/at/all'))

@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(['host', 'gpu', 'software', 'machine']), json_like))
def test_facts_that_are_anything(facts):
    "No structure at all."
    healthy(doctor(context=bare(**facts), store='/no/such/store/at/all'))

def test_an_empty_machine(tmp_path):
    "A root without a file: a report about a machine of which nothing is known."
    r = healthy(doctor(context=Context(NoDevices(), root=str(tmp_path), env={}), store=tmp_path))
    assert not r.fails

def test_results_of_others(registry, tmp_path):
    "A check of somebody else's may put anything into its result."
    registry('odd', lambda ctx: Result(value=3, remedy=None, expected=['<b>'], command={1: 2}, doc=object(), status='fail'))
    registry('evil', lambda ctx: fail('<script>alert(1)</script>\x1b[31m\n' * 50, remedy='</td><script>', command='"><img src=x>'))
    r = doctor(context=bare(), store=tmp_path)
    html, text = r._repr_html_(), r.text(80, False)
    assert '<script' not in html and '<img' not in html and '\x1b' not in text and r[0].value == '3'


# ---- what is kept

def test_last_good_report(registry, tmp_path):
    "What failed since the last good day comes first; a day with a failure isn't a good one."
    state = dict(value=ok('16 GB'))
    registry('shm', lambda ctx: state['value'])
    registry('new', lambda ctx: na('none'))
    def ask(driver):
        ctx = Context(Scripted([], driver=driver), env={}, facts=dict(machine=dict(host='n7')))
        return doctor(context=ctx, store=tmp_path)
    one = ask('535.54.03')
    one_again = ask('535.54.03')
    assert one.last is None and one_again.last is not None and not one_again.diff()
    state['value'] = fail('0.06 GB', remedy='More.')
    two = ask('535.54.03')
    assert [(c.name, c.worse) for c in two.diff()] == [('shm', True)] and two.text(80, False).startswith('Changed since the last good')
    assert 'Changed since' in two._repr_html_()
    state['value'] = warn('1 GB', remedy='More.')
    three = ask('580.65.06')
    assert [c.name for c in three.diff()] == ['shm']                        # compared with the first, not with the failure
    assert not ask('580.65.06').diff()
    kept = list((tmp_path/'.machines').iterdir())
    assert [o.name for o in kept] == ['n7.json']

def test_facts_differ():
    "Beside the verdicts, the driver is compared."
    a, b = (Report([], dict(gpu=dict(driver=o))) for o in ('535.54.03', '580.65.06'))
    assert list(b.diff(a)) == [Change('gpu.driver', '535.54.03', '580.65.06')]

@pytest.mark.parametrize('text', ['', '{', '[]', '{"results": 3}', '{"results": [{"status": "x"}], "facts": {}, "host": "h", "time": "t"}'])
def test_a_kept_report_that_is_damaged(tmp_path, text):
    (tmp_path/'r.json').write_text(text)
    assert load_report(tmp_path/'r.json') is None
    assert load_report(tmp_path/'none.json') is None

def test_no_store_is_made(registry, tmp_path, monkeypatch):
    "Asking the doctor in some folder leaves nothing there."
    registry('a', lambda ctx: ok())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('MLKIT_STORE', raising=False)
    doctor(context=Context(NoDevices(), env={}))
    assert list(tmp_path.iterdir()) == []

def test_without_names():
    "A report for an issue says nothing about whose machine it is."
    facts = dict(gpu=dict(devices=[dict(index=0, uuid='GPU-8f1c2d', processes=[dict(pid=1, user='ada')])]),
        software=dict(executable='/home/ada/venv/bin/python', packages={'nvidia-cudnn-cu12': '9.10.2.21'}))
    r = Report([fail('node7 (10.1.2.3): GPU-8f1c2d is full', remedy='Ask ada.', name='x')], facts, 'node7')
    text = r.json()
    assert not any(o in text for o in ('node7', '10.1.2.3', '8f1c2d', '/home/ada')) and '9.10.2.21' in text
    assert 'node7' in r.json(strip_pii=False)
    for short in ('vm', 'x'):
        found = json.loads(Report([ok('vm.swappiness = 1', name='x')], dict(machine=dict(host=short)), short).json())
        assert (found['host'], found['facts']['machine']['host'], found['results'][0]['value']) == ('HOST', 'HOST', 'vm.swappiness = 1')

def test_fix_runs_what_it_printed(capfd, tmp_path):
    "Nothing without dry_run=False; then exactly the commands that were printed, and none that has a blank to fill in."
    made, other = tmp_path/'made', tmp_path/'other'
    r = Report([fail('a', name='a', remedy='Do.', command=f'touch {made}', runs=True),
        warn('b', name='b', remedy='Do.', command=f'touch {other}'), ok('c', name='c', command=f'touch {other}', runs=True)])
    assert r.fix() == [f'touch {made}'] and not made.exists()
    printed = [o[2:] for o in capfd.readouterr().out.splitlines() if o.startswith('$ ')]
    assert r.fix(dry_run=False) == printed and made.exists() and not other.exists()
    with pytest.raises(ValueError, match='past run'): Report(r.results, live=False).fix(dry_run=False)


# ---- this machine

def test_quick_is_light(tmp_path):
    "The quick doctor examines a machine without torch, pandas or NumPy in the process."
    code = 'import sys\nfrom mlkit.compute.doctor import doctor\nr = doctor()\nstr(r)\n' \
        'print(sorted({"torch", "pandas", "numpy", "matplotlib", "IPython"} & set(sys.modules)), r.exit_code in (0, 1, 2))'
    env = dict(os.environ, PYTHONPATH=str(ROOT), MLKIT_STORE=str(tmp_path))
    p = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert p.stdout.strip() == '[] True', p.stdout + p.stderr

def test_no_check_of_ours_crashes_here(tmp_path):
    "On this machine, whatever it is, every quick check of mlkit's own has an answer."
    r = healthy(doctor(store=tmp_path))
    assert [o for o in r if o.status == 'crash'] == []

def test_machine_of_a_past_run(tmp_path):
    "The machine that a run noted down can be examined later, as it was; a run that didn't says so."
    path = tmp_path/'p'/'20261122-214801-brave-otter'
    path.mkdir(parents=True)
    (path/'run.json').write_text(json.dumps(dict(id=path.name, project='p', status='finished', started=1.8e9)))
    with pytest.raises(LookupError, match='machine.json'): past_machine('latest', tmp_path)
    (path/'machine.json').write_text(json.dumps(dict(FACTS_HERE, machine=dict(host='node7', time=1.8e9))))
    r = healthy(doctor(run='latest', store=tmp_path))
    assert (r.host, r.time, r.live) == ('node7', 1.8e9, False) and not (tmp_path/'.machines').exists()
    assert not any('live' in CHECKS[o.name].needs and o.status != 'na' for o in r if o.name in CHECKS)

def test_judge_keeps_the_name():
    r = judge(Check('n', lambda ctx: ok('v', name='other'), 'g', (), 'quick', 5), bare())
    assert (r.name, r.group, r.value) == ('n', 'g', 'v') and r.ms > 0
