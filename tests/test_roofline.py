"Roofs, counted work and waiting: arithmetic, verdicts and what goes wrong; never how fast this machine is."
import os, subprocess, sys, time
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, clean_env
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mlkit.core.device import Device, Process
from mlkit.compute.chips import chip
from mlkit.compute.roofline import BusyError, Roofline, roofline
from mlkit.compute.speed import (Speed, array_mb, busy, disk_speeds, fitting, last_cache, matmul, memory_speeds, sample, speed,
    surroundings)
from mlkit.compute.waiting import all_reduce_speed, bus_speed, loader_wait
from mlkit.compute.work import flops, mfu, work

class Block(nn.Module):
    "A causal transformer block with tied embeddings, as small language models have."
    def __init__(self, vocabulary=50, d=32, heads=4):
        super().__init__()
        self.heads, self.embed = heads, nn.Embedding(vocabulary, d)
        self.qkv, self.out = nn.Linear(d, 3*d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down, self.norm = nn.Linear(d, 4*d, bias=False), nn.Linear(4*d, d, bias=False), nn.LayerNorm(d)
        self.head = nn.Linear(d, vocabulary, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer('scale', torch.ones(1))
        self.loose = torch.ones(1)                  # neither a parameter nor a buffer

    def forward(self, tokens):
        x = self.embed(tokens)*self.scale*self.loose
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, t, 3, self.heads, d//self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))
        return self.head(x + self.down(F.gelu(self.up(x))))

# ---- counted work

def test_a_block_computes_what_the_formula_says():
    "Products of the layers and of attention, with the whole square of positions; three times that with the backward pass."
    b, t, d, v = 2, 16, 32, 50
    forward = 2*b*t*(4*d*d + 8*d*d + d*v) + 2*2*b*t*t*d
    tokens = torch.randint(v, (b, t))
    assert flops(Block(), tokens, backward=False) == forward
    assert flops(Block(), tokens) == 3*forward

def test_counting_changes_nothing():
    "Neither weights, gradients, buffers, ties, hooks nor the random numbers that follow."
    shared = nn.Linear(32, 32)
    model = nn.Sequential(shared, nn.BatchNorm1d(32), nn.Dropout(.5), shared)
    x = torch.randn(4, 32)
    model(x).sum().backward()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradients, random = [p.grad.clone() for p in model.parameters()], torch.get_rng_state()
    assert work(model, x).traced
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), random) and model[0] is model[3] and model.training
    model(x).sum().backward()                       # it still computes

def test_weights_that_are_tied_stay_tied_in_the_copy():
    block = Block()
    assert work(block, torch.randint(50, (2, 16))).traced
    assert block.head.weight is block.embed.weight and block.head.weight.device.type == 'cpu'

@pytest.mark.parametrize('batch', [(torch.randn(2, 4), torch.randn(2, 4)), [torch.randn(2, 4), torch.randn(2, 4)],
    dict(a=torch.randn(2, 4), b=torch.randn(2, 4))], ids=['tuple', 'list', 'dict'])
def test_batches_of_any_form(batch):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 3)
        def forward(self, a, b): return dict(loss=self.one(a + b).sum(), other=None)
    assert flops(Two(), batch, backward=False) == 2*2*4*3
    assert flops(Two(), batch, loss=lambda out: out['loss']) == 2*2*2*4*3

def test_a_loss_that_the_model_returns_is_used():
    class Losing(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 3)
        def forward(self, x): return SimpleNamespace(loss=self.one(x).mean(), logits=None)
    assert flops(Losing(), torch.randn(2, 4)) == 2*2*2*4*3

def test_an_error_of_the_model_reaches_its_author():
    with pytest.raises(RuntimeError, match='shapes cannot be multiplied'): work(nn.Linear(4, 4), torch.randn(2, 5))

def test_frozen_layers_and_half_precision():
    net = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    whole = work(net, torch.randn(8, 64))
    net[0].requires_grad_(False)
    assert flops(net, torch.randn(8, 64)) == 3*2*8*64*64 < whole.flops          # the second needs its weights' gradient only
    half = work(nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)), torch.randn(8, 64), dtype='bf16')
    assert half.flops == whole.flops and half.bytes < .6*whole.bytes and half.intensity > whole.intensity

@pytest.mark.parametrize('model', [nn.LSTM(16, 32, batch_first=True), nn.GRU(16, 32, batch_first=True),
    nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), nn.Conv1d(8, 8, 3)], ids=['lstm', 'gru', 'encoder', 'conv'])
def test_kinds_of_model_are_followed_without_data(model):
    found = work(model, torch.randn(2, 8, 16))
    assert found.traced and found.flops > 0 and found.bytes > 0

def test_mfu_divides_by_the_right_peak():
    net, x = nn.Linear(1024, 1024), torch.randn(512, 1024)
    done = flops(net, x)
    found = mfu(net, x, 1e-3, 'bf16', 'NVIDIA L40S')
    assert found.peak == 362 and found.share == pytest.approx(done/1e-3/362e12)
    assert mfu(net, x, 1e-3, torch.bfloat16, 'NVIDIA L40S').share == found.share
    assert mfu(net, x, 1e-3, 'bf16', 'NVIDIA L40S', devices=4).peak == 4*362
    assert mfu(net, x, 1e-3, 'bf16', 'NVIDIA GeForce RTX 4090 Laptop GPU').share is None
    assert mfu(net, x, 1e-3, 'bf16', 'Tesla V100-SXM2-16GB').share is None         # no bf16 units
    assert mfu(net, x, 1e-3).share is None and 'roofline' in repr(mfu(net, x, 1e-3))
    for seconds in (0, -1, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='above zero'): mfu(net, x, seconds)

# ---- speeds

@given(st.lists(st.floats(-1, 1e6) | st.just(0.), max_size=30), st.floats(1e-9, 1e12))
def test_any_times_make_a_speed(times, amount):
    found = speed('x', 'GB/s', amount, times)
    if found.best is None: assert found.verdict == 'n.a.' and found.note
    else: assert found.best >= found.median*(1 - 1e-12) and found.times == sum(t > 0 for t in times)
    assert repr(found)

def test_no_verdict_of_failure_on_an_assumption():
    "Half of what was measured is a failure; half of what is assumed is a warning, and looks different in the table."
    from mlkit.compute.chips import chip
    from mlkit.compute.roofline import Measured, _judged
    for name, gb, verdict, mark in (('NVIDIA H100 80GB HBM3', 80, 'fail', '794'), ('NVIDIA L4', 24, 'warn', '~')):
        found = chip(name, gb)
        s = _judged(Speed('matmul bfloat16', .3*found.tflops['bfloat16'], .3*found.tflops['bfloat16'], 'TFLOP/s'), found)
        text = repr(Measured('cuda:0', name, found, [s]))
        assert s.verdict == verdict and mark in text and ('assumed' in text) == ('assumed' in repr(s)) == s.assumed == (mark == '~')

@given(st.one_of(st.none(), st.floats(1e-6, 1e6)), st.one_of(st.none(), st.floats(1e-6, 1e6)), st.one_of(st.none(), st.floats(1e-6, 1e6)))
def test_a_verdict_for_any_figures(best, median, expected):
    s = Speed('x', best, median, 'GB/s', expected=expected)
    assert s.verdict in ('', 'ok', 'warn', 'fail', 'noisy', 'n.a.') and repr(s)

@given(st.lists(st.floats(0, 100), min_size=300, max_size=300), st.floats(0, 50), st.integers(0, 3))
def test_a_budget_is_kept_to_within_one_repetition(durations, seconds, warm):
    left = iter(durations)
    spent = []
    def watch(op):
        spent.append(next(left))
        return spent[-1]
    sample(None, watch, seconds, warm)
    assert sum(spent[:-1]) <= seconds + 1e-6 or len(spent) <= 1

@given(st.floats(1e6, 1e17), st.floats(1e-3, .1))
def test_a_size_fits_any_machine(rate, target):
    "It ends, within its limits, and near its target where that lies between them."
    size = [0]
    def make(n): size[0] = n
    n = fitting(make, lambda op: 2*size[0]**3/rate, target)
    assert 256 <= n <= 16384
    if 256 < n < 16384: assert n % 64 == 0 and 2*n**3/rate <= 2*target

def test_a_slow_machine_gets_small_products_and_keeps_its_time():
    calls = []
    found = matmul('float32', watch=lambda op: calls.append(op) or 30., seconds=.5)
    assert len(calls) <= 3 and found.best == pytest.approx(2*256**3/1e12/30)

def test_products_are_of_random_numbers_and_right():
    "Zeros are faster on some chips; and a product that isn't computed is faster still."
    seen = []
    def watch(op):
        out = op()
        seen.append((out.float().std().item(), out.dtype))
        return .2
    for kind in ('float32', 'bfloat16', 'float16'):
        assert matmul(kind, watch=watch).best
        std, dtype = seen[-1]
        assert dtype == getattr(torch, kind) and 12 < std < 20, (kind, std)        # the square root of n = 256
    before = torch.get_float32_matmul_precision()
    assert matmul('tf32', watch=watch).best and torch.get_float32_matmul_precision() == before

def test_copies_copy():
    seen = []
    copy, triad = memory_speeds(watch=lambda op: seen.append(op().clone()) or .1, seconds=.5, mb=1)
    assert copy.best == pytest.approx(2*2**20/.1/1e9) and triad.best == pytest.approx(3*2**20/.1/1e9)
    assert 0 <= seen[0].min() < .01 and seen[-1].max() > 3.5 and seen[0].numel()*4 == 2**20

def test_arrays_are_larger_than_the_cache_or_say_so():
    for mb in (0, 1, 16, 32, 60, 480, 4000):
        size, said = array_mb(mb*2**20)
        assert 64 <= size <= 256 and bool(said) == (4*mb > 256) and (said or size >= 4*mb)
    assert last_cache() >= 0

def test_a_disk_without_direct_reads_says_so(tmp_path, monkeypatch):
    real = os.open
    def refuse(path, flags, *a, **kw):
        if flags & getattr(os, 'O_DIRECT', 0): raise OSError(22, 'Invalid argument')
        return real(path, flags, *a, **kw)
    monkeypatch.setattr(os, 'open', refuse)
    found = {s.name: s for s in disk_speeds(tmp_path, seconds=.2, mb=8)}
    assert 'O_DIRECT' in found['disk read'].note and found['disk read'].best > 0 and not found['disk write'].note
    assert list(tmp_path.iterdir()) == []

@pytest.mark.skipif(not hasattr(os, 'geteuid') or not os.path.exists('/proc/self/mounts'), reason='Linux only')
def test_a_folder_that_cannot_be_written_gives_no_figure_and_no_error(tmp_path):
    found = disk_speeds('/proc/self', seconds=.2, mb=8)
    assert {s.verdict for s in found} == {'n.a.'} and all(s.note for s in found)

# ---- a busy machine

anything = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda o: st.dictionaries(st.sampled_from('load load1 ticks steal pressure cpu avg10'.split()), o, max_size=4), max_leaves=8)

@given(anything, anything)
@settings(max_examples=200)
def test_any_facts_make_reasons_and_no_error(before, after):
    assert all(isinstance(o, str) for o in busy(before, after, [Device(0), Device(1, util=float('nan'))], 1))

def test_facts_of_this_machine_are_understood():
    facts = surroundings()
    assert set(facts) == {'load', 'pressure'} and isinstance(busy(facts, surroundings(), cores=1e9), list)

def test_who_else_uses_the_device():
    mine, theirs = Process(os.getpid()), Process(99999999)
    assert busy({}, devices=[Device(0, processes=(mine,), util=99.)]) == []
    assert 'pid 99999999' in busy({}, devices=[Device(0, processes=(mine, theirs))])[0]
    assert busy({}, devices=[Device(0, name='T4', util=50.)]) == ['T4 0 is 50 % busy']     # whose, nobody knows

def test_strict_refuses_a_busy_machine_and_says_why(monkeypatch):
    module = import_module('mlkit.compute.roofline')     # the name in the package is the function's
    monkeypatch.setattr(module, 'surroundings', lambda: dict(pressure=dict(cpu=dict(avg10=90.))))
    with pytest.raises(BusyError, match='90 %'): roofline('cpu', strict=True, measure=lambda *a: [])
    found = roofline('cpu', measure=lambda *a: [Speed('memory copy', 1., 1., 'GB/s')])
    assert not found.trusted and '90 %' in repr(found) and '90 %' in found._repr_html_()

# ---- the whole

def test_all_of_it_on_this_processor(tmp_path):
    "Every part gives a figure or says why not, and the time is about what was asked for."
    start = time.perf_counter()
    found = roofline('cpu', seconds=2, folder=tmp_path)
    names = [s.name for s in found.speeds]
    assert names == ['matmul float32', 'matmul bfloat16', 'matmul float16', 'memory copy', 'memory triad', 'disk write', 'disk read',
        'disk random 4 KiB', 'disk fsync']
    assert all(s.best or s.note for s in found.speeds) and found.chip is None and list(tmp_path.iterdir()) == []
    assert found.seconds <= time.perf_counter() - start and len(found.df) == len(names) and 'matmul' in found._repr_html_()

def test_a_result_without_figures_is_still_shown():
    found = Roofline('cuda:0', 'No <such> chip', None, [Speed('matmul float32', None, None, 'TFLOP/s', note='out of memory')], ['x > y'])
    assert 'out of memory' in repr(found) and 'not in the table' in repr(found)
    assert '&lt;such&gt;' in found._repr_html_() and '<such>' not in found._repr_html_()
    with pytest.raises(ValueError, match='nothing to plot'): found.plot()
    with pytest.raises(ValueError, match="wasn't measured"): found.peak()

def test_roofs_are_the_lower_of_two_limits():
    speeds = [speed('matmul bfloat16', 'TFLOP/s', 1., [1/700]), speed('memory copy', 'GB/s', 1., [1/4000])]
    r = Roofline('cuda:0', 'NVIDIA H200', chip('NVIDIA H200'), speeds)
    for intensity in (.01, 1., 174., 175., 176., 1e5):
        assert r.roof(intensity, 'bf16') == pytest.approx(min(700, 4*intensity))
    p = r.place(Block(), torch.randint(50, (2, 16)), .01, 'bf16')
    assert p.limit == 'memory' and p.roof == pytest.approx(4*p.work.intensity) and 'memory limits it' in repr(p)
    assert float(r.mfu(Block(), torch.randint(50, (2, 16)), .01, 'bf16')) == pytest.approx(p.tflops/700)
    r.plot(p).fig.canvas.draw()

# ---- waiting

def test_waiting_adds_up_by_an_injected_clock():
    "0.3 s for each batch and 0.1 s of work: the first batch is for warming up."
    ticks = iter([0, 9, 10, 10.3, 10.4, 10.7, 10.8])
    found = loader_wait([dict(x=torch.zeros(4, 2)), (torch.zeros(5), 1), torch.zeros(6)], lambda b: None, clock=lambda: next(ticks))
    assert found.share == pytest.approx(.75) and (found.batches, found.items, found.workers) == (2, 11, None)
    assert '75 %' in repr(found) and found.remedy

def test_measuring_stops_after_its_time_even_on_endless_loaders():
    def forever():
        while True: yield torch.zeros(2)
    assert loader_wait(forever(), lambda b: time.sleep(.001), seconds=.05).batches < 1000

def test_two_ranks_add_up_on_this_machine():
    found = all_reduce_speed(mb=1, limit=120)
    assert found.unit == 'GB/s' and (found.best or found.note), found
    if found.best: assert found.times == 6

def test_ranks_that_hang_are_given_up_and_leave_no_process():
    import mlkit.compute.waiting as module
    real, module._RANK = module._RANK, f'import time; time.sleep(600) # {os.getpid()}-hanging'
    try: found = all_reduce_speed(mb=1, limit=3)
    finally: module._RANK = real
    assert found.verdict == 'n.a.' and 'within 3 s' in found.note
    time.sleep(.2)
    if os.path.isdir('/proc'):
        lines = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', errors='replace') as f: lines.append(f.read())
            except OSError: pass
        assert not any(f'{os.getpid()}-hanging' in o for o in lines)

@given(st.integers(2, 1024), st.floats(.1, 1e5), st.floats(1e-4, 1e4))
def test_bus_bandwidth_lies_between_one_and_two_times_the_array_per_second(ranks, mb, seconds):
    s = bus_speed(mb, ranks, [seconds])
    assert 1 - 1e-9 <= s.best/(mb*2**20/1e9/seconds) < 2

def test_importing_loads_nothing_heavy(tmp_path):
    code = 'from mlkit.compute.roofline import roofline; from mlkit.compute.waiting import loader_wait; import sys\n'
    code += "print([o for o in 'torch numpy pandas matplotlib'.split() if o in sys.modules])"
    r = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env=clean_env(PYTHONPATH=str(ROOT)), capture_output=True, text=True)
    assert r.stdout == '[]\n', r.stdout + r.stderr

@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_all_of_it_on_a_cuda_device():
    found = roofline('cuda:0', seconds=4)
    assert found.peak('bf16') > found.peak('fp32') > 0 and found.bandwidth > 50 and found['host to device'].best > .5
