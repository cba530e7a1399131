"The page answers conditions by itself: never otherwise than Python."
import json, random, subprocess, sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT/'js'))
import build

import mlkit
from mlkit.ui.answers import row_of

SCRIPT = '''
import {where} from './js/src/where.js'
let text = ''
for await (const o of process.stdin) text += o
const {rows, asked} = JSON.parse(text)
console.log(JSON.stringify(asked.map(o => where(o, rows)?.map(row => row.key) ?? null)))
'''
VALUES = dict(lr=[.1, .001, 3, 1e-5, None], opt=['adam', 'sgd', '', 'a b', 'NaN', None], flag=[True, False, None],
    deep=[1, 'x', [1, 2], None, float('inf')], layers=[[1], ['sgd'], 'sgd', None], big=[2**53 + 1, 5, 0, -1])
METRICS = {'val/acc': [.5, .9, float('nan'), 0., -1.], 'train/acc': [.5, .9, 1], 'loss': [float('nan'), 1., 2., float('inf')],
    'n': [1, 2, 3]}


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    store, rng = str(tmp_path_factory.mktemp('store')), random.Random(0)
    for _ in range(40):
        config = {k: v for k, vs in VALUES.items() if (v := rng.choice(vs)) is not None}
        with mlkit.init(project='p', name=rng.choice(['a', 'b', None, 'lr']), config=config, tags=['x'], store=store, system=False,
                hardware=False) as run:
            for k, vs in METRICS.items():
                if rng.random() < .8: run.log({k: rng.choice(vs)})
    return mlkit.runs('p', store)


def conditions(rng):
    names = ('lr config.lr opt flag deep layers big acc `val/acc` `train/acc` loss n name status started duration tags missing summary.n '
        'dropped').split()
    values = "1 0 0.1 .5 1e-3 -1 'adam' \"sgd\" '' True False 'finished' 'NaN' 2 5 1_0 'a' None 9007199254740993".split()
    def operand(): return rng.choice(names) if rng.random() < .55 else rng.choice(values)
    def condition(depth):
        k = rng.random()
        if depth and k < .25: return f'{condition(depth - 1)} and {condition(depth - 1)}'
        if depth and k < .45: return f'{condition(depth - 1)} or {condition(depth - 1)}'
        if depth and k < .55: return f'not {condition(depth - 1)}'
        if depth and k < .65: return f'({condition(depth - 1)})'
        if k < .8: return f'{rng.choice(names)} in [{", ".join(rng.choice(values) for _ in range(rng.randint(1, 3)))}]'
        if k < .85: return f'{operand()} {rng.choice("< <= > >=".split())} {operand()} < {operand()}'
        return f'{operand()} {rng.choice("< <= > >= == !=".split())} {operand()}'
    while True: yield condition(2)


def test_the_page_never_answers_otherwise_than_python(found):
    asked = [text for text, _ in zip(conditions(random.Random(1)), range(4000))]
    rows = [row_of(r) for r in found]
    done = subprocess.run([build.node(), '--input-type=module', '-e', SCRIPT], cwd=ROOT, input=json.dumps(dict(rows=rows, asked=asked)),
        text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answered = 0
    for text, got in zip(asked, json.loads(done.stdout), strict=True):
        if got is None: continue
        answered += 1
        assert got == [f'p/{r.id}' for r in found.where(text)], text
    assert answered > 400, answered
