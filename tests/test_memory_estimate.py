"""The memory estimate against real processes, and what must stay as it was."""
import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings, strategies as some
from torch import nn
from torch.nn import functional as F

from mlkit.compute import estimate
from mlkit.compute.memory import _largest, blocks, room_gb

ROOT = Path(__file__).resolve().parents[1]
LINUX = pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='the resident set is read from /proc')

def bench():
    "The benchmark as a module."
    spec = importlib.util.spec_from_file_location('bench_memory_estimate', ROOT/'benchmarks'/'bench_memory_estimate.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

SMALL = '''
import sys
sys.path.insert(0, sys.argv[1])
import bench_memory_estimate as b
from functools import partial
sizes = dict(mlp=lambda: (b.mlp(1024, 2048), b.labelled(4096, 1024)),
    lstm=lambda: (b.Lstm(1000, 256, 512), b.words(96, 64)),
    gpt=lambda: (b.Gpt(2000, 256, 4, 4, 128), b.words(16, 128)),
    encoder=lambda: checkpointed(b.Encoder(256, 4, 8), b.labelled(48, 128, 256)))
def checkpointed(model, batch):
    from mlkit.compute.memory import checkpoint_blocks
    checkpoint_blocks(model, True)
    return model, batch
kind, optimizer, bf16 = sys.argv[2:5]
b.KINDS[kind] = sizes[kind], b.KINDS[kind][1]
print(b.measure(kind, optimizer, bf16 == '1'))
'''

def measured(kind, optimizer, bf16):
    "MiB of a small case in a fresh process."
    import os
    import subprocess
    import sys
    b = bench()
    command = [sys.executable, '-c', SMALL, str(ROOT/'benchmarks'), kind, optimizer, str(int(bf16))]
    env = os.environ | b.MALLOC | dict(PYTHONPATH=str(ROOT))
    return float(subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True).stdout)

@LINUX
@pytest.mark.parametrize('kind, optimizer, bf16', [('mlp', 'adamw', False), ('lstm', 'sgd', False), ('gpt', 'adamw', True),
    ('encoder', 'adamw', False)])
def test_a_real_process_needs_what_the_estimate_says(kind, optimizer, bf16):
    "Small models, so the allocator's noise is larger than in the benchmark: 15 % here, 10 % there."
    b = bench()
    model, batch = dict(mlp=lambda: (b.mlp(1024, 2048), b.labelled(4096, 1024)), lstm=lambda: (b.Lstm(1000, 256, 512), b.words(96, 64)),
        gpt=lambda: (b.Gpt(2000, 256, 4, 4, 128), b.words(16, 128)),
        encoder=lambda: (b.Encoder(256, 4, 8), b.labelled(48, 128, 256)))[kind]()
    said = 1024*estimate(model, batch, optimizer, b.loss, amp='bf16' if bf16 else None, checkpointing=kind == 'encoder' or None).peak_gb
    true = measured(kind, optimizer, bf16)
    assert abs(said/true - 1) < .15, (said, true)

@given(some.floats(0, 1e3), some.floats(1e-3, 10), some.floats(.5, 2), some.floats(0, 1e4), some.integers(1, 500), some.integers(1, 5000))
@settings(max_examples=200, deadline=None)
def test_largest_batch_is_the_largest(base, slope, power, room, start, limit):
    "The secant may guess as it likes; what it returns fits, and one more doesn't."
    calls = []
    def peak(n):
        calls.append(n)
        return base + slope*n**power
    n = _largest(peak, room, start, limit)
    assert n == 0 or peak(n) <= room
    assert n == limit or peak(n + 1) > room
    assert len(calls) <= 60 and all(1 <= c <= limit + 1 for c in calls)

def net(): return nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 4))

def test_model_optimizer_and_random_state_stay_as_they_were():
    "An estimate before training must not change the training."
    model, batch, narrow = net(), (torch.randn(8, 16), torch.randint(4, (8,))), torch.randn(8, 15)
    opt = torch.optim.AdamW(model.parameters())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    estimate(model, batch, opt, F.cross_entropy).max_batch(1)
    with pytest.raises(Exception, match='shapes cannot be multiplied'): estimate(model, (narrow, batch[1]), opt, F.cross_entropy)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not opt.state and all(p.grad is None for p in model.parameters())
    assert model.training and not any(m._forward_hooks or 'forward' in vars(m) for m in model.modules())

def test_frozen_parameters_have_no_gradient_and_no_state():
    model = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 512))
    model[0].requires_grad_(False)
    e = estimate(model, torch.randn(2, 512), 'adam')
    assert math.isclose(e.parts['optimizer'], 8*(512*512 + 512)/2**30, rel_tol=.01)

def test_models_in_the_style_of_huggingface():
    "A dict as batch, and a loss in the output."
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)
        def forward(self, ids, labels):
            out = self.layer(ids)
            return SimpleNamespace(loss=F.cross_entropy(out, labels), logits=out)
    e = estimate(Model(), dict(ids=torch.randn(5, 8), labels=torch.zeros(5, dtype=torch.long)))
    assert e.doubt == '' and e.batch_size == 5

def test_a_chip_has_the_optimizer_of_cuda():
    "There the update is of all parameters at once."
    model = nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(8)])
    e = estimate(model, torch.randn(1, 1024), 'adamw')
    at_once = e.again(foreach=True).top()[1]/2**30
    assert at_once > 1.1*e.peak_gb
    assert e.max_batch('T4') > 0

def test_no_room_is_a_batch_of_none():
    e = estimate(nn.Linear(2048, 2048), torch.randn(4, 2048))
    assert e.max_batch(.001) == 0 and not e.fits(.001) and e.fits(1)
    assert room_gb() > 0

def test_sharing_divides_states_only():
    e1, e4 = (estimate(nn.Linear(1024, 1024), torch.randn(4, 1024), fsdp=n) for n in (1, 4))
    assert math.isclose(e1.parts['optimizer'], 4*e4.parts['optimizer'])
    assert math.isclose(e1.parts['batch'], e4.parts['batch'])
    assert 'gathered' in e4.parts and 'gathered' not in e1.parts

def test_blocks_of_blocks_are_the_outermost():
    inner = [nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Sequential(nn.Linear(2, 2), nn.ReLU())) for _ in range(2)]
    assert list(blocks(nn.ModuleDict(dict(body=nn.ModuleList(inner))))) == ['body.0', 'body.1']

@pytest.mark.parametrize('make, words', [
    (lambda: estimate(net(), torch.randn(8, 16), 'adamm'), 'choose from'),
    (lambda: estimate(net(), torch.randn(8, 16), fsdp=0), 'number of devices'),
    (lambda: estimate(net(), torch.randn(8, 16), checkpointing=True), 'repeats no block'),
    (lambda: estimate(net(), torch.randn(8, 16), loss=F.cross_entropy), r'use \(x, y\)'),
    (lambda: estimate(net(), []), 'no tensor in the batch'),
    (lambda: estimate(net(), torch.randn(8, 16), amp='int8'), 'int8'),
    (lambda: estimate(net(), torch.randn(8, 16)).fits('H100'), 'Several chips')])
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words): make()
