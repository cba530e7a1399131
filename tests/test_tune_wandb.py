"W&B's sweep files mean here what they mean there: twelve of our own, against W&B's engine where it can say."
import json, os, random, signal, subprocess, sys, time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import clean_env

from mlkit.tune.space import KINDS
from mlkit.tune.stop import Hyperband
from mlkit.tune.study import Study
from mlkit.tune.trials import Row
from mlkit.tune.wandb import Sweep, SweepError, command, find_sweep, read_sweep

FILES = sorted((Path(__file__).parent/'wandb_sweeps').glob('*.yaml'))
PYTHON = ['/usr/bin/env', 'python', 'train.py']

def load(n:int)->Sweep: return read_sweep(FILES[n - 1])

@pytest.fixture
def theirs(): return pytest.importorskip('sweeps')

# reading

def test_there_are_twelve(): assert [o.name[:2] for o in FILES] == [f'{i:02}' for i in range(1, 13)]

@pytest.mark.parametrize('path', FILES, ids=lambda o: o.stem)
def test_the_file_and_its_dict_are_the_same_sweep(path):
    a = read_sweep(path)
    b = read_sweep(a.config)
    assert (a.space, a.goals, a.stop, a.paths) == (b.space, b.goals, b.stop, b.paths)
    assert read_sweep(json.loads(json.dumps(a.config))).space == a.space

@pytest.mark.parametrize('path', FILES, ids=lambda o: o.stem)
def test_wandbs_schema_agrees(path, theirs):
    "It takes the files, too, but for its own first version of the logarithms."
    said = theirs.schema_violations_from_proposed_config(read_sweep(path).config)
    odd = [o for o in said if 'base-e exponents' not in o]
    if '12' not in path.name: assert not odd, odd
    assert bool(len(said) - len(odd)) == any('exponents of e' in o for o in read_sweep(path).warnings)

def test_all_kinds_and_their_warnings():
    s = load(2)
    assert [d.kind for d in s.space.dists.values()] and {d.kind for d in s.space.dists.values()} == set(KINDS)
    assert [o.split(': ')[1] for o in s.warnings] == [f'parameters.{o}' for o in ('g_log_uniform', 'i_q_log_uniform',
        'k_inv_log_uniform')]
    assert s.warnings[0].startswith('02_distributions.yaml:12: ') and 'from 0.0001 to 0.1' in s.warnings[0]
    assert s.run_cap == 50 and s.goals == ['min loss']

def test_numbers():
    s = load(3)
    d = s.space.dists
    assert d['lr'].args == dict(min=1e-5, max=.1) and d['decay'].args == dict(min=1e-6, max=1e-2)
    assert d['clip'].args == dict(min=.5, max=5.)
    assert (d['width'].kind, d['width'].args) == ('int_uniform', dict(min=16, max=64)) and d['warmup'].kind == 'uniform'
    assert d['noise'].values == [0, 1e-3, 1e-2, .1] and d['eps'].args['value'] == 1e-8 and d['label'].args['value'] == '1e-5'
    assert s.target == 1e-3 and s.method == 'bayes'

def test_groups_and_dots():
    s = load(4)
    assert list(s.space.dists) == ['model.body.depth', 'model.body.width', 'model.kind', 'optimizer', 'optimizer.config.momentum',
        'optimizer.config.nesterov']
    got = s.params(s.space.random(random.Random(0)))
    assert list(got) == ['model', 'optimizer', 'optimizer.config.momentum', 'optimizer.config.nesterov']
    assert set(got['model']) == {'body', 'kind'} and got['optimizer.config.nesterov'] is True

def test_a_function_can_be_tried_on_groups_and_dots(tmp_path):
    study = load(4).study(store=tmp_path, project='p', seed=0)
    with study.trial() as t: t.report(loss=.5)
    assert study.best.number == 0 and t.params['optimizer'] in ('sgd', 'adam')

def test_probabilities_and_time_as_the_goal():
    s = load(5)
    assert s.space.dists['act'].args == dict(values=['relu', 'gelu', None], probabilities=[.5, .25, .25])
    assert s.space.dists['depth'].kind == 'categorical_w_probabilities' and s.goals == ['min seconds']

def test_early_terminate():
    assert load(6).stop == Hyperband(min_iter=2, eta=3, strict=True) and load(6).stop.bands[:3] == [2, 6, 18]
    s = load(7).stop
    assert s.bands == [6, 13] and not s.strict

def test_all_the_rest():
    s = load(12)
    assert s.goals == ['max acc', 'min time'] and s.name == 'two-goals' and s.config['entity'] == 'me'
    assert any('scheduler' in o for o in s.warnings) and any('Launch' in o for o in s.warnings) and len(s.warnings) == 3

BAD = [('method: [', '1: not YAML'), ('', '1: expected a sweep with method and parameters; the file is empty'),
    ('- a', '1: expected a table'), ('parameters: {a: {value: 1}}', '1: expected the key method'),
    ('method: random', '1: expected the key parameters'), ('method: best\nparameters: {a: {value: 1}}',
        "1: method: expected one of grid"),
    ('method: random\nparamters: {}', '2: paramters: unknown key; did you mean parameters?'),
    ('method: random\nparameters: {}', '2: parameters: expected a table of parameters'),
    ('method: random\nparameters:\n  a: 3', '3: parameters.a: expected a table such as {value: 3}, not 3'),
    ('method: random\nparameters:\n  a: {}', '3: parameters.a: expected value, values, min and max'),
    ('method: random\nparameters:\n  a: {min: 1}', '3: parameters.a: expected value, values, min and max'),
    ('method: random\nparameters:\n  a:\n    min: 1\n    max: x', "5: parameters.a.max: expected a number, not 'x'"),
    ('method: random\nparameters:\n  a:\n    min: 2\n    max: 1', '3: parameters.a: int_uniform: min 2 is above max 1'),
    ('method: random\nparameters:\n  a:\n    min: 1\n    max: 2\n    step: 3', '6: parameters.a.step: unknown key; expected one of'),
    ('method: random\nparameters:\n  a:\n    distribution: unifrom\n    min: 1', "4: parameters.a.distribution: expected one of"),
    ('method: random\nparameters:\n  a:\n    values: 3', '4: parameters.a.values: expected a list, not 3'),
    ('method: random\nparameters:\n  a:\n    values: []', '3: parameters.a: choice() needs at least one value'),
    ('method: random\nparameters:\n  a:\n    values: [1, 2]\n    probabilities: [1]', '3: parameters.a: 2 values need as many'),
    ('method: random\nparameters:\n  a:\n    values: [2020-01-01]', '3: parameters.a: A choice is what JSON can hold'),
    ('method: random\nparameters:\n  a:\n    value: 2020-01-01', '4: parameters.a.value: expected what JSON can hold'),
    ('method: random\nparameters:\n  a:\n    distribution: log_uniform_values\n    min: 0\n    max: 1',
        '3: parameters.a: log_uniform_values: min must be'),
    ('method: random\nparameters:\n  a b: {value: 1}', '3: parameters.a b: expected a name'),
    ('method: random\nparameters:\n  a:\n    parameters:\n      b: 3', '5: parameters.a.parameters.b: expected a table'),
    ('method: random\nparameters:\n  a.b: {value: 1}\n  a: {parameters: {b: {value: 1}}}', '3: parameters.a.b: expected one setting a.b'),
    ('method: grid\nparameters:\n  a:\n    min: 1.\n    max: 2.', '3: parameters.a: expected values, a constant, int_uniform'),
    ('method: bayes\nparameters: {a: {value: 1}}', '1: expected the key metric, which bayes needs'),
    ('method: random\nmetric: {goal: minimize}\nparameters: {a: {value: 1}}', '2: metric: expected the key name'),
    ('method: random\nmetric:\n  name: a\n  goal: max\nparameters: {a: {value: 1}}',
        "4: metric.goal: expected one of minimize, maximize, not 'max'"),
    ('method: random\nmetric: {name: my loss}\nparameters: {a: {value: 1}}',
        '2: metric.name: expected the name of a metric without blanks'),
    ('method: random\nmetrics: [{name: a}, {name: b}]\nparameters: {a: {value: 1}}',
        '2: metrics: expected method: custom for several metrics'),
    ('method: random\nmetric: {name: a}\nearly_terminate:\n  type: median\nparameters: {a: {value: 1}}',
        '4: early_terminate.type: expected one of hyperband'),
    ('method: random\nmetric: {name: a}\nearly_terminate: {type: hyperband, max_iter: 3}\nparameters: {a: {value: 1}}',
        '3: early_terminate: expected min_iter'),
    ('method: random\nmetric: {name: a}\nearly_terminate: {type: hyperband, min_iter: 0}\nparameters: {a: {value: 1}}',
        '3: early_terminate.min_iter: expected a whole'),
    ('method: random\nearly_terminate: {type: hyperband, min_iter: 1}\nparameters: {a: {value: 1}}', '1: expected the key metric'),
    ('method: random\nrun_cap: 0\nparameters: {a: {value: 1}}', '2: run_cap: expected a whole number above 0, not 0'),
    ('method: random\ncommand: python x.py\nparameters: {a: {value: 1}}', "2: command: expected a list, not 'python x.py'"),
    ('method: custom\nscheduler: {job: x}\nparameters: {a: {value: 1}}',
        '2: scheduler.job: expected parameters and a program; a job of W&B Launch'),
    ('defaults: [a]\nhydra: {sweeper: {}}', '1: defaults: unknown key; expected one of method')]

@pytest.mark.parametrize('text,says', BAD, ids=[o.partition(':')[2].strip()[:40] for _, o in BAD])
def test_what_is_no_sweep_says_line_key_and_what_was_expected(text, says, tmp_path):
    (tmp_path/'s.yaml').write_text(text)
    with pytest.raises(SweepError) as e: read_sweep(tmp_path/'s.yaml')
    assert str(e.value).startswith(f's.yaml:{says}'), str(e.value)

# command lines, written out by hand from the specification

def test_default_command():
    s = load(1)
    assert command(s, dict(augment=True, epochs=9, layers=2, optimizer=None, pool=[2, 2])) == [*PYTHON, '--augment=True', '--epochs=9',
        '--layers=2', '--optimizer=None', '--pool=[2, 2]']
    assert command(s, dict(pool=dict(size=2), lr=1e-5)) == [*PYTHON, "--pool={'size': 2}", '--lr=1e-05']

def test_torchrun():
    p = next(load(8).space.grid())
    assert command(load(8), load(8).params(p)) == ['torchrun', '--nproc_per_node', '2', '--max-restarts=0', 'train.py', '--lr=0.001',
        '--seed=1', '--device', 'cpu']

def test_hydra():
    s = load(9)
    assert command(s, s.params(next(s.space.grid()))) == ['/usr/bin/env', 'python', '-m', 'app.train', '++model.width=8',
        "++trainer={'accelerator': 'cpu', 'lr': 0.1}", '--', '+model.width=8', "+trainer={'accelerator': 'cpu', 'lr': 0.1}"]

def test_json_and_variables():
    s = load(10)
    got = command(s, s.params(next(s.space.grid())), env=dict(DATA='/data', SET='a b'), json_file='/tmp/x.json')
    assert got == ['python', 'train.py', '{"flags": [1, 2], "half": 0.5, "name": "a b", "none": null}', '--file', '/tmp/x.json',
        '--data=/data/a b', 'NOWHERE', 'x-${args}', 'flags=[1, 2]', 'half=0.5', 'name=a b', 'none=None']

def test_flags():
    assert command(load(11), dict(amp=True, dropout=.1, fold=0, width=16)) == ['./run.sh', '--amp', '--dropout=0.1', '--fold=0',
        '--width=16', '--amp', 'True', '--dropout', '0.1', '--fold', '0', '--width', '16']
    assert command(load(11), dict(amp=False, width=16))[1:2] == ['--width=16']

def test_what_is_left_out():
    assert command(load(2), dict(x=1)) == ['/usr/bin/env', 'python', '--x=1']                      # no program: the macro is empty
    assert command(dict(load(1).config, command=['a', 1.5, None, '${args_json_file}', '${env']), {}) == ['a', '1.5', 'None', '${env']

# against W&B's engine

def plan(theirs, config:dict, n:int)->list[dict]:
    "The first `n` points of W&B's grid, as its engine gives them one by one."
    runs, out = [], []
    while len(out) < n:
        run = theirs.next_run(config, runs)
        if run is None: break
        run.state = theirs.RunState.finished
        runs.append(run)
        out.append({k: v['value'] for k, v in run.config.items()})
    return out

@pytest.mark.parametrize('n', [1, 8, 9, 10, 11])
def test_the_grid_is_the_same_in_the_same_order(n, theirs):
    s = load(n)
    ours = [s.params(p) for p in s.space.grid()]
    assert json.dumps(ours) == json.dumps(plan(theirs, s.config, len(ours) + 1))

@pytest.mark.parametrize('seed', range(30))
def test_random_grids_are_the_same(seed, theirs):
    rng = random.Random(seed)
    def one():
        kind, lo = rng.randrange(5), rng.choice([0, 1, -2, .1, .5])
        if kind == 0: return dict(distribution='q_uniform', min=lo, max=lo + rng.choice([1, 2, .3, .7]), q=rng.choice([.1, .25, .3, 1]))
        if kind == 1: return dict(min=2, max=3 + rng.randrange(3))
        if kind == 2: return dict(value=rng.choice(['a', None, [1], 0]))
        if kind == 3: return dict(parameters={k: one() for k in rng.sample(['u', 'v_w', 'B'], 2)})
        return dict(values=rng.sample([None, True, 'a', 1.5, [1, 2], {'b': 1}, 7], rng.randint(1, 3)))
    config = dict(method='grid', parameters={k: one() for k in rng.sample(['lr', 'Width', 'a.b', 'z', 'a-c', 'a_b'], 2)})
    s = read_sweep(config)
    ours = [s.params(p) for p in s.space.grid()]
    expected = plan(theirs, config, len(ours) + 1)
    assert ours == expected or not any('values' in str(o) or 'min' in str(o) for o in config['parameters'].values())

@pytest.mark.parametrize('kind', KINDS)
def test_draws_are_distributed_as_theirs(kind, theirs):
    stats, np = pytest.importorskip('scipy.stats'), pytest.importorskip('numpy')
    from sweeps.params import HyperParameter
    (name, d), = [(k, d) for k, d in load(2).space.dists.items() if d.kind == kind]
    spec = load(2).config['parameters'][name]
    np.random.seed(7)
    rng, n = random.Random(7), 2000
    theirs_ = [HyperParameter(name, spec).sample() if kind != 'constant' else spec['value'] for _ in range(n)]
    ours = [d.ppf(rng.random()) for _ in range(n)]
    if kind.startswith('categorical'): theirs_, ours = ([spec['values'].index(v) for v in o] for o in (theirs_, ours))
    assert stats.ks_2samp(theirs_, ours).pvalue > .01
    assert {type(v) for v in ours} <= {int, float} and (kind[:2] != 'q_' or {round(v/spec['q'], 6) % 1 for v in ours} == {0})

@pytest.mark.parametrize('n', [6, 7])
@pytest.mark.parametrize('seed', range(50))
def test_the_files_stop_what_wandb_stops(n, seed, theirs):
    s, rng = load(n), random.Random(seed)
    rows = [Row(i, i, rng.choice(['running', 'complete']), {},
        reports={j: round(rng.uniform(0, 1), 2) for j in range(rng.randint(0, 20))})
        for i in range(rng.randint(1, 20))]
    metric = s.config['metric']
    runs = [theirs.SweepRun(name=str(r.number), state='running' if r.state == 'running' else 'finished', config={},
        history=[{metric['name']: v} for v in r.reports.values()]) for r in rows]
    stopped = {int(r.name) for r in theirs.stop_runs(s.config, runs)}
    bands = next((r.early_terminate_info['bands'] for r in runs if r.early_terminate_info), None)
    if bands: assert bands[:12] == s.stop.bands[:12]
    mode = s.goals[0].split()[0]
    assert {r.number for r in rows if r.state == 'running' and s.stop(SimpleNamespace(rows=rows, counting=rows), r, 0, mode)} == stopped

# the agent

CLI = [sys.executable, '-c', 'import sys; from mlkit.cli.main import main; sys.exit(main())']

class Place:
    "A folder with a sweep, a program and a store."
    def __init__(self, folder:Path):
        self.folder, self.procs = folder, []
        self.env = clean_env(MLKIT_STORE=folder/'store', PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def write(self, sweep:str, program:str)->None:
        (self.folder/'sweep.yaml').write_text(f'program: train.py\nproject: p\n{sweep}\n')
        (self.folder/'train.py').write_text(program)

    def start(self, *args, **env)->subprocess.Popen:
        p = subprocess.Popen([*CLI, *map(str, args)], cwd=self.folder, env={**self.env, **env}, text=True, stdout=-1, stderr=-1)
        self.procs.append(p)
        return p

    def run(self, *args, **env)->tuple[int, str, str]:
        p = self.start(*args, **env)
        out, err = p.communicate(timeout=100)
        return p.returncode, out, err

    @property
    def study(self)->Study: return find_sweep('p/sweep', store=self.folder/'store')[1]
    def wait(self, ready, seconds=30)->None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, 'it never came'
            time.sleep(.05)

@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    for p in place.procs:
        if p.poll() is None: p.kill()
        p.communicate()

LOG = "import sys, wandb\nrun = wandb.init(project='elsewhere', config=dict(lr=5, more=1))\n"

def test_the_program_gets_what_wandb_gives(place):
    place.write("method: grid\nmetric: {name: loss}\nparameters: {lr: {values: [1e-5, 0.5]}, m: {parameters: {w: {value: 8}}}}",
        "import json, os, sys, yaml, wandb\nkeep = {k: v for k, v in os.environ.items() if k[:5] in ('WANDB', 'MLKIT')}\n"
        "given = yaml.safe_load(open(os.environ['WANDB_SWEEP_PARAM_PATH']))\n"
        "print('TOLD', json.dumps([sys.argv[1:], keep, given]))\n"
        + LOG + "wandb.log({'loss': run.config.lr})\nprint(dict(wandb.config))")
    assert place.run('sweep', 'sweep.yaml')[0] == 0
    rc, out, err = place.run('agent', 'p/sweep')
    assert rc == 0, err
    told = [json.loads(o[5:]) for o in out.splitlines() if o.startswith('TOLD')]
    assert [o[0] for o in told] == [['--lr=1e-05', "--m={'w': 8}"], ['--lr=0.5', "--m={'w': 8}"]]
    assert told[0][1]['WANDB_SWEEP_ID'] == 'sweep' and told[0][2] == dict(wandb_version=1, lr=dict(value=1e-5), m=dict(value=dict(w=8)))
    import mlkit
    found = sorted(mlkit.runs('p', store=place.folder/'store'), key=lambda r: r.name)
    assert [r.id for r in found] == [o[1]['WANDB_RUN_ID'] for o in told] == [r.attrs['run'] for r in place.study.rows]
    assert [(r.name, r.group) for r in found] == [('sweep-0', 'sweep'), ('sweep-1', 'sweep')]
    assert [r.config for r in found] == [dict(lr=lr, more=1, m=dict(w=8)) for lr in (1e-5, .5)]
    assert place.study.best.values == [1e-5] and [r.state for r in place.study.rows] == ['complete']*2
    assert 'the best is trial 0' in out

SLOW = LOG + "import time, signal\nfor i in range(400): run.log({'val': {'loss': run.config['x']}}); time.sleep(.05)\n"

def test_a_hopeless_trial_is_stopped_and_its_run_says_so(place):
    place.write("method: grid\nmetric: {name: val.loss}\nearly_terminate: {type: hyperband, min_iter: 3}\n"
        "parameters: {x: {values: [1, 2, 3]}}",
        SLOW.replace('400', "(400 if run.config['x'] > 1 else 4)"))
    place.run('sweep', 'sweep.yaml')
    rc, out, err = place.run('agent', 'sweep')
    assert rc == 0, err
    rows = place.study.rows
    assert [r.state for r in rows] == ['complete', 'pruned', 'pruned']
    assert all(3 <= len(r.reports) < 100 for r in rows[1:]) and rows[1].values == [2]
    import mlkit
    assert {r.name: r.status for r in mlkit.runs('p', store=place.folder/'store')} == {'sweep-0': 'finished',
        'sweep-1': 'interrupted', 'sweep-2': 'interrupted'}

def test_agents_share_a_sweep_and_keep_to_count_and_cap(place):
    place.write("method: random\nmetric: {name: loss}\nrun_cap: 7\nparameters: {x: {min: 0.0, max: 1.0}}",
        LOG + "run.log({'loss': run.config.x})")
    place.run('sweep', 'sweep.yaml')
    ps = [place.start('agent', 'sweep', '--count', n) for n in (1, 9, 9)]
    said = [p.communicate(timeout=100) for p in ps]
    assert [p.returncode for p in ps] == [0]*3, said
    rows = place.study.rows
    assert len(rows) == 7 and all(r.state == 'complete' for r in rows) and len({r.params['x'] for r in rows}) == 7
    assert '1 trial by this agent' in said[0][0]

def alive(pid:int)->bool:
    try: return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError: return False

@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda o: o.name)
def test_an_agent_that_ends_takes_its_program_along_and_puts_the_trial_back(place, how):
    place.write("method: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}",
        "import os\nopen('pid', 'w').write(str(os.getpid()))\n" + SLOW.replace("'val': {'loss'", "'loss'").replace("']}}", "']}")
        .replace('400', "(400 if not os.path.exists('go') else 2)"))
    place.run('sweep', 'sweep.yaml')
    p = place.start('agent', 'sweep')
    place.wait(lambda: (s := place.study) and s.rows and len(s.rows[0].reports) > 2)
    pid = int((place.folder/'pid').read_text())
    p.send_signal(how)
    p.communicate(timeout=40)
    assert p.returncode == (130 if how != signal.SIGKILL else -9)
    place.wait(lambda: not alive(pid))
    (place.folder/'go').touch()
    assert place.run('agent', 'sweep')[0] == 0
    s = place.study
    assert [r.state for r in s.rows] == ['fail', 'complete', 'complete'] and s.rows[1].attrs['retry_of'] == 0 and len(s) == 2

def test_a_program_that_fails_ends_the_agent(place):
    place.write("method: random\nparameters: {x: {min: 0.0, max: 1.0}}", "raise SystemExit(4)")
    place.run('sweep', 'sweep.yaml')
    rc, out, err = place.run('agent', 'sweep')
    assert rc == 1 and '3 trials have failed in the first 60 seconds' in err
    assert [r.attrs['error'] for r in place.study.rows] == ['exit status 4']*3
    rc, out, err = place.run('agent', 'sweep', '--count', 4, WANDB_AGENT_DISABLE_FLAPPING='true')
    assert rc == 0 and len(place.study.rows) == 7

def test_a_metric_that_never_comes_and_a_program_that_is_not_there(place):
    place.write("method: grid\nmetric: {name: los}\nparameters: {x: {value: 1}}", LOG + "run.log(loss=1)")
    place.run('sweep', 'sweep.yaml')
    place.run('agent', 'sweep')
    assert place.study.rows[0].state == 'fail' and "The goal is 'los'" in place.study.rows[0].attrs['error']
    place.write("method: grid\ncommand: [nowhere-at-all]\nparameters: {x: {value: 1}}", '')
    place.run('sweep', 'sweep.yaml', '--name', 'b')
    rc, out, err = place.run('agent', 'b')
    assert rc == 1 and 'nowhere-at-all' in err and 'Traceback' not in err

def test_a_target_ends_the_sweep(place):
    place.write("method: grid\nmetric: {name: acc, goal: maximize, target: 2}\nparameters: {x: {values: [1, 3, 5]}}",
        LOG + "run.log({'acc': run.config.x})")
    place.run('sweep', 'sweep.yaml')
    rc, out, err = place.run('agent', 'sweep')
    assert rc == 0 and len(place.study.rows) == 2 and 'trial 1 has reached the target' in err

def test_a_program_that_starts_others_and_inits_twice(place):
    "The first run is the trial's; what a child starts is its own, and init again goes on with the trial's."
    place.write("method: grid\nmetric: {name: loss}\nparameters: {x: {value: 1}}",
        "import subprocess, sys, mlkit\nrun = mlkit.init('q')\nmlkit.log(loss=2)\nassert mlkit.init('q') is run\nrun.finish()\n"
        "subprocess.run([sys.executable, '-c', \"import mlkit; mlkit.init('q', 'child').log(loss=0)\"], check=True)\n"
        "mlkit.init('q').log(loss=1)\n")
    place.run('sweep', 'sweep.yaml')
    rc, out, err = place.run('agent', 'sweep')
    import mlkit
    assert rc == 0, err
    assert place.study.best.values == [1] and [r.name for r in mlkit.runs('q', store=place.folder/'store')] == ['child']
    (r,) = mlkit.runs('p', store=place.folder/'store')
    assert r.metric('loss').value.tolist() == [2, 1] and r.status == 'finished'

def test_ranks_under_torchrun_are_one_run_and_stop_together(place):
    pytest.importorskip('torch')
    place.write("method: grid\nmetric: {name: loss}\nearly_terminate: {type: hyperband, min_iter: 3}\nparameters: {x: {values: [1, 2]}}\n"
        "command: [torchrun, --nproc_per_node, 2, --master_port, 0, '${program}', '${args}']",
        "import os, mlkit, time\nopen(f\"pid{os.environ['RANK']}\", 'w').write(str(os.getpid()))\nrun = mlkit.init('q')\n"
        "for i in range(3 if run.config['x'] == 1 else 600):\n"
        "    if os.environ['RANK'] == '0': run.log(loss=run.config['x'])\n    time.sleep(.05)\n")
    place.run('sweep', 'sweep.yaml')
    rc, out, err = place.run('agent', 'sweep')
    import mlkit
    assert rc == 0, err
    assert [r.state for r in place.study.rows] == ['complete', 'pruned']
    assert [r.name for r in mlkit.runs('p', store=place.folder/'store')] == ['sweep-1', 'sweep-0']
    assert not list(mlkit.runs('q', store=place.folder/'store'))
    assert not any(alive(int((place.folder/f'pid{i}').read_text())) for i in range(2))

def test_the_sampler_of_bayes_takes_every_distribution(tmp_path):
    "Optuna's, through the quantile functions; the same files open again, and go on."
    pytest.importorskip('optuna')
    s = read_sweep(dict(load(2).config, method='bayes'))
    study = s.study('all', 'p', tmp_path, seed=0, track=False)
    study.run(lambda t: float(t['e_uniform']), trials=14)
    again, study = find_sweep('p/all', store=tmp_path)
    study.run(lambda t: float(t['e_uniform']), trials=16)
    assert [r.state for r in study.rows] == ['complete']*16 and again.space == s.space
    assert all(set(s.params(r.params)) == set(s.space.dists) for r in study.rows)

def test_failures_in_a_row_end_the_agent_and_a_success_begins_anew():
    from mlkit.tune.agent import Failures
    f, said = Failures(dict(WANDB_AGENT_DISABLE_FLAPPING='true'), in_a_row=2), []
    for rc in (1, 0, 1, -9, 1, 1):
        f.add(rc)
        said.append(f.why())
    assert said == ['']*5 + ['2 trials in a row have failed']
    with pytest.raises(ValueError, match='at least 1'): Failures({}, in_a_row=0)
