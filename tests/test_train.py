"A fit gives what the bare loop gives, says what is wrong with bad input, and costs no operation."
import io
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import mlkit
from mlkit.train import EMA, Accumulate, BatchError, Callback, Clip, DataLoaders, EarlyStop, Learner, Schedule, TensorLoader, accuracy
from mlkit.train.diagnose import LayerStats, Timing

X = torch.randn(330, 8, generator=torch.manual_seed(0))
Y = (X.sum(1) > 0).long()


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv('MLKIT_STORE', str(tmp_path/'store'))
    return tmp_path/'store'


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(.1), nn.Linear(16, 2))


def learner(model=None, dls=None, **kw):
    return Learner(model or net(), dls or DataLoaders.from_tensors((X, Y), bs=32), kw.pop('loss', F.cross_entropy), device='cpu', **kw)


def weights(model): return torch.cat([p.detach().flatten() for p in model.parameters()])


def bare(epochs, bs=32):
    "The loop that everybody writes, with the same order of batches."
    model, dls = net(), DataLoaders.from_tensors((X, Y), bs=bs)
    opt = torch.optim.AdamW(model.parameters(), lr=.01)
    torch.manual_seed(1)
    for epoch in range(epochs):
        model.train()
        for x, y in dls.train.at(epoch):
            F.cross_entropy(model(x), y).backward()
            opt.step()
            opt.zero_grad()
    return weights(model)


def fitted(epochs=3, **kw):
    fit = {k: kw.pop(k) for k in ('run', 'progress', 'checkpoint', 'cbs') if k in kw}
    learn = learner(**kw)
    learn.prepare(.01)
    torch.manual_seed(1)
    learn.fit(epochs, lr=.01, **{'project': 'p', 'progress': False, **fit})
    return learn


SAME = [dict(), dict(run=False), dict(checkpoint=False), dict(metrics=[accuracy]), dict(cbs=[Timing()]), dict(cbs=[LayerStats()]),
    dict(cbs=[EarlyStop('valid/loss', patience=99)]), dict(cbs=[EMA(0., warmup=False)]), dict(cbs=[Clip(1e9)]), dict(progress=True),
    dict(cbs=[Schedule(lambda opt: torch.optim.lr_scheduler.ConstantLR(opt, 1.))])]


@pytest.mark.parametrize('kw', SAME, ids=range(len(SAME)))
def test_what_must_not_change_the_training_does_not(kw):
    "To the last bit, against the bare loop."
    assert torch.equal(weights(fitted(**kw).model), bare(3))


def test_accumulation_equals_the_large_batch():
    def end(bs, n):
        model = nn.Linear(8, 2)
        with torch.no_grad(): [p.fill_(.1) for p in model.parameters()]
        learn = learner(model, DataLoaders(TensorLoader(X, Y, bs=bs), None), accumulate=n, opt=torch.optim.SGD)
        learn.fit(3, lr=.1, run=False, progress=False)
        return weights(model), learn.global_step
    (small, a), (large, b) = end(16, 4), end(64, 1)
    assert a == b and torch.allclose(small, large, atol=1e-6)


def test_accumulation_by_tokens():
    "A batch of few tokens counts little."
    x, y = torch.randn(40, 5), torch.randint(0, 3, (40, 5))
    y[torch.rand(40, 5) < .5] = -100
    def loss(p, t): return F.cross_entropy(p.flatten(0, 1), t.flatten(), ignore_index=-100)
    def end(bs, cbs):
        model = nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 3))
        with torch.no_grad(): [p.fill_(.1) for p in model.parameters()]
        learn = learner(model, DataLoaders(TensorLoader(x, y, bs=bs), None), loss=loss, opt=torch.optim.SGD, cbs=cbs)
        learn.fit(2, lr=.5, run=False, progress=False)
        return weights(model)
    assert torch.allclose(end(10, [Accumulate(4, count=lambda b: (b[1] != -100).sum())]), end(40, []), atol=1e-6)


def test_metrics_do_not_depend_on_the_batch_size():
    learn = fitted()
    got = []
    for bs in (7, 64, 330):
        other = learner(learn.model, DataLoaders([], TensorLoader(X, Y, bs=bs)), metrics=[accuracy])
        other.dls.train = other.train = learn.train
        got.append(other.validate())
    for name in ('valid/accuracy', 'valid/loss'): assert max(g[name] for g in got) - min(g[name] for g in got) < 1e-5


class Explode(Callback):
    def after_step(self, learn): raise ZeroDivisionError('a callback of yours')


DIRTY = torch.where(torch.arange(8) == 3, torch.nan, X)
BAD = dict(
    shapes=(dict(model=nn.Linear(9, 2)), BatchError, 'got (float32 (32, 8)'),
    loss_shape=(dict(loss=lambda p, t: F.cross_entropy(p, t, reduction='none')), BatchError, 'not one number'),
    loss_type=(dict(loss=lambda p, t: .5), BatchError, 'not a tensor'),
    loss_detached=(dict(loss=lambda p, t: F.cross_entropy(p, t).detach()), BatchError, 'no gradient'),
    metric=(dict(metrics=[lambda p, t: p[:, 9]]), BatchError, 'metric'),
    empty=(dict(dls=DataLoaders([], None)), ValueError, 'not one training batch'),
    nan=(dict(dls=DataLoaders.from_tensors((DIRTY, Y))), BatchError, 'NaN'),
    frozen=(dict(model=net().requires_grad_(False)), ValueError, 'no trainable parameter'),
    callback=(dict(cbs=[Explode()]), ZeroDivisionError, 'a callback of yours'),
    no_module=(dict(model=lambda x: x), TypeError, 'torch.nn.Module'),
    opt=(dict(opt='adamw'), TypeError, 'torch.optim.AdamW'),
    lr=(dict(lr='1e-3'), ValueError, 'pass a number'),
    lr_sign=(dict(lr=-.1), ValueError, 'from 0 up'),
    amp=(dict(amp='fp8'), ValueError, 'bf16, fp16'),
    schedule=(dict(schedule='cosinus'), ValueError, 'one_cycle'))


@pytest.mark.parametrize('name', BAD)
def test_bad_input_is_named(name, store):
    "And a run that had begun by then says failed."
    kw, kind, text = BAD[name]
    with pytest.raises(kind) as e: learner(**kw).fit(1, project='p', progress=False)
    assert text in str(e.value)
    if store.exists(): assert all(r.status == 'failed' for r in mlkit.runs('p'))


@pytest.mark.parametrize('epochs', [0, -1, 1.5, True, '3'])
def test_epochs(epochs):
    with pytest.raises(ValueError, match='whole number'): learner().fit(epochs)


def test_frozen_parameters_stay():
    model = net()
    for p in model[0].parameters(): p.requires_grad_(False)
    before = model[0].weight.clone()
    learner(model).fit(1, lr=.1, run=False, progress=False)
    assert torch.equal(model[0].weight, before) and not torch.equal(model[3].weight, net()[3].weight)


def test_iterable_data():
    "Of unknown length, without indices."
    class Stream(IterableDataset):
        def __iter__(self): return iter(TensorDataset(X, Y))
    learn = learner(dls=DataLoaders(DataLoader(Stream(), batch_size=50), None))
    out = io.StringIO()
    learn.fit(2, run=False, cbs=[mlkit.train.Progress(out)], progress=False)
    assert learn.global_step == 14


def test_dict_batches_and_a_model_with_its_own_loss():
    "As HuggingFace's."
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)
        def forward(self, input, labels):
            logits = self.layer(input)
            return dict(loss=F.cross_entropy(logits, labels), logits=logits)
    batches = [dict(input=a, labels=b) for a, b in zip(X.split(50), Y.split(50), strict=True)]
    learn = learner(Own(), DataLoaders(batches, batches), loss=None)
    learn.fit(2, lr=.1, project='p', progress=False)
    assert learn.results['valid/loss'] < .7 and len(mlkit.runs('p').latest().history(['train/loss'])) == 14


def test_a_live_run_is_used_and_left_open():
    with mlkit.init('mine') as run:
        fitted(run=run)
        assert run.status == 'running'
    assert run.history(['train/loss'])['train/loss'].notna().sum() == 27


def test_importing_train_is_quick_to_ask_for():
    "Nothing heavy besides torch is loaded, and nothing at all by `import mlkit.train`."
    code = '''import sys, mlkit.train
assert 'torch' not in sys.modules
import torch
before = set(sys.modules)
from mlkit.train import Learner
heavy = 'pandas', 'matplotlib', 'IPython', 'rich', 'torch.distributed.fsdp', 'torch._dynamo'
print([m for m in heavy if m in set(sys.modules) - before])'''
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=dict(os.environ))
    assert r.stdout.strip() == '[]', r.stdout + r.stderr


def test_an_interrupted_script_exits_as_interrupted(tmp_path):
    "After the batch at hand, with a checkpoint, and not as a success."
    code = '''import signal, torch, torch.nn.functional as F
from mlkit.train import Callback, DataLoaders, Learner
class Press(Callback):
    def after_batch(self, learn):
        if learn.global_step == 3: signal.raise_signal(signal.SIGINT)
dls = DataLoaders.from_tensors((torch.randn(99, 4), torch.randint(0, 2, (99,))), bs=8)
Learner(torch.nn.Linear(4, 2), dls, F.cross_entropy, cbs=[Press()], device='cpu').fit(9, project='p', progress=False)
print('not reached')'''
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode and 'KeyboardInterrupt' in r.stderr and not r.stdout
    run = mlkit.runs('p').latest()
    assert run.status == 'interrupted' and [p.name for p in run.files] == ['step-00000003.pt']


def test_digits_over_five_seeds():
    "At least 97 % of held-out pictures at the median, and the same weights for the same seed."
    from sklearn.datasets import load_digits
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None]/16, torch.tensor(digits.target)
    def end(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.BatchNorm2d(64), nn.ReLU(), nn.Flatten(), nn.Linear(64*16, 10))
        learn = learner(model, DataLoaders.from_tensors((x, y), seed=seed), metrics=[accuracy], schedule='one_cycle')
        learn.fit(8, lr=.01, run=False, progress=False)
        return learn.results['valid/accuracy'], weights(model)
    found = [end(seed) for seed in range(5)]
    assert sorted(a for a, _ in found)[2] >= .97
    assert torch.equal(end(0)[1], found[0][1])
