"Several ranks give what one process gives, stop together, survive kills, and say which of them failed and why."
import hashlib
import os
import random
import signal
import threading
import time
from contextlib import suppress

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, clean_env, until
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import mlkit
from mlkit.train import (EMA, Callback, CancelFit, Checkpoint, DataLoaders, EarlyStop, Learner, RankError, TensorLoader, accuracy, checkpoints,
    launch)
from mlkit.train.checkpoint import load_latest, load_training_state

KILLS = int(os.environ.get('MLKIT_TEST_KILLS', 1)) # of a rank; 10 make the figure of the docs
X = torch.randn(331, 8, generator=torch.manual_seed(0))
Y = (X.sum(1) > 0).long()
HELD = X[261:], Y[261:]


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Sequential(nn.Linear(32, 16), nn.Tanh()), nn.Linear(16, 2))


def weights(learn):
    "All weights, on every rank."
    w = learn.model.state_dict() if learn.parallel is None else learn.parallel.weights(learn)
    return torch.cat([v.flatten() for v in w.values()]) if w else None


def tensors(bs, n=261): return DataLoaders(TensorLoader(X[:n], Y[:n], bs=bs, shuffle=True, seed=3), TensorLoader(*HELD, bs=bs))


def loaders(bs): return DataLoaders(DataLoader(TensorDataset(X[:261], Y[:261]), bs, shuffle=True), DataLoader(TensorDataset(*HELD), bs), seed=3)


def learner(bs=32, dls=tensors, **kw):
    return Learner(net(), dls(bs), F.cross_entropy, **{'opt': SGD, 'lr': .1, **kw}, metrics=[accuracy], device='cpu')


def SGD(params, lr): return torch.optim.SGD(params, lr=lr, momentum=.9)


# Uneven on purpose: 261 samples in batches of 32 leave 5, of which one rank gets 3; and 257 leave 1, so one rank has none.
SAME = {
    'plain': dict(opt=torch.optim.AdamW, lr=.01),         # which blows up the rounding of gradients near 0
    'accumulate': dict(accumulate=3, clip=.5, schedule='one_cycle'),
    'loader': dict(dls=loaders, clip=.5),
    'none left': dict(dls=lambda bs: tensors(bs, 257), accumulate=2),
    'average': dict(cbs=[EMA(.9)])}
SPLIT = {k: v for k,v in SAME.items() if k != 'average'}


def in_ranks(cases, bs=16, **kw):
    "Train each case on this rank; the weights, results and losses."
    out = {}
    for name, case in cases.items():
        learn = learner(bs, **case, **kw)
        learn.fit(3, project=name, progress=False)
        out[name] = weights(learn), learn.results, learn.global_step
    return out


def both(): return in_ranks(SAME, parallel='ddp'), in_ranks(SPLIT, parallel='fsdp')


def test_two_ranks_equal_one_process(store):
    "Weights, results and the curve of the losses, with batches that can't be divided evenly."
    got = launch(both, show=False)
    ddp, fsdp = ([o[i] for o in got] for i in (0, 1))
    for name, case in SAME.items():
        one = learner(32, **case)
        with mlkit.init('one', name) as run: one.fit(3, run=run, progress=False)
        first, second = (o[name] for o in ddp)
        assert (first[0] - weights(one)).abs().max() < 1e-6, name
        assert torch.equal(first[0], second[0]) and first[1:] == second[1:], name
        if name in fsdp[0]: assert (fsdp[0][name][0] - weights(one)).abs().max() < 1e-5, name
        for found in [first, *(o[name] for o in fsdp if name in o)]:
            assert found[2] == one.global_step
            for k, v in one.results.items(): assert abs(found[1][k] - v) < 1e-5, (name, k)
        losses = run.history()['train/loss'].dropna().to_numpy()
        for r in mlkit.runs(name): assert abs(r.history()['train/loss'].dropna().to_numpy() - losses).max() < 1e-4, name
        assert len(mlkit.runs(name)) == 2 - (name == 'average')          # one run for each fit, not one for each rank


class OnRank(Callback):
    "Do something on one rank, in the second epoch's fourth batch."
    def __init__(self, rank, what): self.rank, self.what = rank, what
    def after_batch(self, learn):
        if learn.training and learn.rank == self.rank and (learn.epoch, learn.index) == (1, 4): self.what(learn)


def cancel(learn): raise CancelFit('enough')
def stop(learn): learn.stop = 'enough'
def term(learn): signal.raise_signal(signal.SIGUSR1)


class Uneven(IterableDataset):
    "Batches of uneven sizes, whose number nobody knows."
    def __iter__(self): return iter([(X[i*7:i*7 + n], Y[i*7:i*7 + n]) for i, n in enumerate([7, 3, 5, 7, 1])])


def stops():
    "Ways to stop, each on one rank; where each rank stood then."
    out = []
    for rank, what in ((1, cancel), (1, stop), (0, stop), (1, term)):
        learn = learner(16, cbs=[OnRank(rank, what)])
        old = signal.signal(signal.SIGUSR1, signal.SIG_IGN)              # after the fit has ended, the signal comes again
        with suppress(KeyboardInterrupt): learn.fit(5, project='stops', progress=False)
        signal.signal(signal.SIGUSR1, old)
        out.append((learn.epoch, learn.index, learn.stop))
    learn = learner(16, cbs=[EarlyStop(patience=2, delta=9.)])
    learn.fit(9, run=False, progress=False)
    out.append((learn.epoch, learn.global_step))
    data = DataLoaders([(X[i:i + 9], Y[i:i + 9]) for i in range(0, 63, 9)], [(X[:5], Y[:5])])
    for dls in (data, DataLoaders(DataLoader(Uneven(), batch_size=None))):
        learn = learner(dls=lambda bs, dls=dls: dls)
        learn.fit(2, run=False, progress=False)
        out.append((learn.global_step, dict(learn.results), weights(learn).tolist()))
    return out


def test_all_stop_at_the_same_batch(store):
    "Whoever stops, and however; and data of unknown or odd length makes equally many steps on each rank."
    first, second = launch(stops, show=False, timeout=120)
    assert first[:4] == [(1, o[1], o[2]) for o in first[:4]] and all(4 < o[1] <= 6 for o in first[:4]), first[:4]
    assert first == second
    one = learner(32, cbs=[EarlyStop(patience=2, delta=9.)])
    one.fit(9, run=False, progress=False)
    assert first[4] == (one.epoch, one.global_step) and one.epoch < 9
    assert (first[5][0], first[6][0]) == (8, 6)
    assert all(r.status in ('finished', 'interrupted') for r in mlkit.runs('stops'))


def broken(learn): raise ZeroDivisionError('a mistake of yours')


def test_a_rank_that_raises(store):
    "Its own traceback comes back, while the other rank waits for it in the middle of a step."
    with pytest.raises(RankError, match='rank 1 of 2 failed in .*a mistake of yours') as e:
        learner(16, cbs=[OnRank(1, broken)]).launch(lambda learn: learn.fit(3, project='p'), show=False, timeout=120)
    assert e.value.rank == 1 and type(e.value.__cause__) is ZeroDivisionError and 'in broken' in str(e.value)
    assert [r.status for r in mlkit.runs('p')] == ['failed']


def save(folder):
    for kind in ('ddp', 'fsdp'):
        learn = learner(16, parallel=kind, accumulate=2)
        learn.fit(2, run=False, progress=False, checkpoint=Checkpoint(folder=folder/kind, best='valid/loss'))
    return {k: weights(learn)}


def test_placeholder(): pass
