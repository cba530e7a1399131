"Several ranks give what one process gives, stop together, survive kills, and say which of them failed and why."
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
import torch
import torch.nn.functional as F
from conftest import clean_env, until
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import mlkit
from mlkit.train import (
    EMA, Callback, CancelFit, Checkpoint, DataLoaders, EarlyStop, Learner, RankError, TensorLoader, accuracy, checkpoints, launch)
from mlkit.train.checkpoint import load_latest, load_training_state

KILLS = int(os.environ.get('MLKIT_TEST_KILLS', 1)) # of a rank; 10 make the figure of the docs
X = torch.randn(331, 8, generator=torch.manual_seed(0))
Y = (X.sum(1) > 0).long()
HELD = X[261:], Y[261:]


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Sequential(nn.Linear(32, 16), nn.Tanh()), nn.Linear(16, 2))


def weights(learn):
    "All weights; of a divided model on rank 0 only."
    w = learn.model.state_dict() if learn.parallel is None else learn.parallel.weights(learn)
    return torch.cat([v.flatten() for v in w.values()]) if w else None


def tensors(bs, n=261): return DataLoaders(TensorLoader(X[:n], Y[:n], bs=bs, shuffle=True, seed=3), TensorLoader(*HELD, bs=bs))


def loaders(bs):
    train = DataLoader(TensorDataset(X[:261], Y[:261]), bs, shuffle=True)
    return DataLoaders(train, DataLoader(TensorDataset(*HELD), bs), seed=3)


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
    assert all(o[0] < 3 and o[2] for o in first[:4]), first[:4]
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


def saved(folder):
    "Train two epochs of each kind, with a checkpoint at the end."
    out = {}
    for kind in ('ddp', 'fsdp'):
        learn = learner(16, parallel=kind, accumulate=2)
        learn.fit(2, run=False, progress=False, checkpoint=Checkpoint(folder=folder/kind, best='valid/loss'))
        out[kind] = weights(learn), learn.global_step
    return out


def means(kind):
    "The running means of a batch norm at each training pass, and at the end."
    torch.manual_seed(0)
    norm, seen = nn.BatchNorm1d(4), []
    norm.register_forward_pre_hook(lambda m, x: seen.append(m.running_mean.clone()) if m.training else None)
    model = nn.Sequential(nn.Linear(8, 4), norm, nn.Linear(4, 2))
    learn = Learner(model, tensors(32), F.cross_entropy, opt=SGD, lr=.1, device='cpu', parallel=kind)
    learn.fit(1, run=False, progress=False)
    return torch.stack([*seen, norm.running_mean])


@pytest.mark.parametrize('kind', ['ddp', 'fsdp'])
def test_buffers_are_those_of_rank_0(kind, store):
    one, other = launch(means, kind, show=False, timeout=120)
    assert len(one) > 5 and one.diff(dim=0).abs().sum(1).min() > 0 and torch.equal(one, other)


def loaded(folder, kinds=('ddp', 'fsdp')):
    "What checkpoints of two ranks are on this many: loaded into both kinds, and trained on."
    out = {}
    for kind in kinds:
        for source in ('ddp', 'fsdp'):
            learn = learner(16, parallel=kind)
            learn.prepare()
            load_training_state(learn, load_latest(folder/source))
            state = learn.opt.state_dict()['state']
            out[kind, source] = weights(learn), len(state), len(state[0]['momentum_buffer'])
            learn.fit(1, run=False, progress=False)
            best = learner(16, parallel=kind)
            best.prepare()
            best.load(folder/source/'best.pt')
            out[kind, source] += (learn.global_step, weights(best))
    return out


def test_checkpoints_do_not_depend_on_the_number_of_ranks(tmp_path, store):
    "Of two ranks, a copy each or a part each, read by one process and by three."
    found = launch(saved, tmp_path, show=False, timeout=120)[0]
    assert [o.path.name for o in checkpoints(tmp_path/'fsdp')] == ['best.pt', f'step-{found["fsdp"][1]:08}']
    assert not list((tmp_path/'fsdp').glob('.*'))
    three = launch(loaded, tmp_path, nprocs=3, show=False, timeout=120)
    for got in (three[0], loaded(tmp_path, ('ddp',))):
        for (_, source), (w, n, rows, step, best) in got.items():
            assert torch.equal(w, found[source][0]) and (n, rows) == (6, 32) and step
            assert torch.equal(best, w)                      # the last epoch was the best one


# Shuffling, dropout, augmentation from the global generator in a worker process, accumulation, a schedule, an average of the
# weights; a checkpoint every other step; and in some attempts a rank that is killed, at any moment.
class Augmented(Dataset):
    def __len__(self): return len(X)
    def __getitem__(self, i): return X[i]*random.uniform(.9, 1.1) + torch.randn(8)*.01, Y[i]


class Slow(Callback):
    def before_fit(self, learn):
        attempt = int(os.environ['TORCHELASTIC_RESTART_COUNT'])
        rng = random.Random(f'{self.seed} {attempt}')
        rank, delay = rng.randrange(2), .05 + rng.random()*self.seconds
        if attempt < self.kills and learn.rank == rank:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    def __init__(self, kills, seed, seconds=1.): self.kills, self.seed, self.seconds = kills, seed, seconds
    def after_batch(self, learn): time.sleep(.01)


def long_fit(learn, project, kills, seed):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    learn.fit(4, lr=.01, project=project, cbs=[Slow(kills, seed)], progress=False, checkpoint=Checkpoint(steps=2))
    state = learn.opt.state_dict()['state']
    own = [*learn.model.state_dict().values(), *(v for s in state.values() for v in s.values())]
    own = [t.to_local() if hasattr(t, 'to_local') else t for t in own]
    return hashlib.sha256(b''.join(t.numpy().tobytes() for t in own)).hexdigest(), learn.global_step


def outcome(projects, kills=0, seed=0, kind='ddp'):
    "A fit for each project, in one launch; the state at the end of each on each rank."
    def fits():
        out = []
        for project in projects:
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(.2), nn.Linear(32, 2))
            train = DataLoader(Augmented(), batch_size=8, shuffle=True, num_workers=1, multiprocessing_context='fork')
            dls = DataLoaders(train, DataLoader(Augmented(), batch_size=64), seed=3)
            learn = Learner(model, dls, F.cross_entropy, accumulate=3, clip=1., schedule='one_cycle', cbs=[EMA(.9)][kind == 'fsdp':],
                device='cpu', parallel=kind)
            out.append(long_fit(learn, project, kills, seed))
        return out
    return launch(fits, restarts=kills, show=False, timeout=120 + 20*kills)


@pytest.mark.parametrize('kind', ['ddp', 'fsdp'][:1 + (KILLS > 1)])
def test_killed_ranks(store, kind):
    "Bit for bit what two trainings are that were left alone, in one run that was gone on with."
    (a, b), (c, d) = outcome(['a', 'b'], kind=kind)
    assert (a, c) == (b, d)
    assert outcome(['k'], KILLS, kind=kind) == [[a], [c]]
    run, = mlkit.runs('k')
    assert run.status == 'finished' and run.meta['resumes']


CELL = """
import os, torch, torch.nn.functional as F, mlkit
from mlkit.train import Callback, DataLoaders, Learner
x = torch.randn(200, 4, generator=torch.manual_seed(0))
class Slow(Callback):
    def after_batch(self, learn):
        import time; time.sleep(.02)
def make():
    torch.manual_seed(0)
    return Learner(torch.nn.Linear(4, 2), DataLoaders.from_tensors((x, (x.sum(1) > 0).long()), bs=4), F.cross_entropy, device='cpu')
def job(learn, cbs=()):
    if os.environ['RANK'] == '0': print('in a cell', flush=True)
    learn.fit(3, lr=.1, project='p', progress=False, cbs=cbs)
    return learn.global_step
learn = make()
print(learn.launch(job))
"""


def test_from_a_notebook(kernel):
    "Functions of a cell; the stop button; and the same cell again goes on at the next batch, to the same weights."
    k = kernel()
    text, error = k.run(CELL)
    assert error is None and 'in a cell' in text and '[60, 60]' in text
    k.run('other = make()')
    cell = k.send('print(other.launch(job, [Slow()]))')
    def begun(): return len(mlkit.runs('p')) == 2 and len(mlkit.runs('p')[0].history()) > 30
    until(begun, 60)
    k.interrupt()
    text, error = k.result(cell)
    assert error is None and 'Run this cell again' in text
    assert mlkit.runs('p')[0].status == 'interrupted'
    text, error = k.run('print(other.launch(job)); print(torch.equal(other.model.weight, learn.model.weight))')
    assert error is None and '[60, 60]' in text and 'True' in text, text
    assert len(mlkit.runs('p')) == 2 and mlkit.runs('p')[0].status == 'finished'


HANG = """
import os, sys, time
from mlkit.train import launch
def hang():
    open(f'pid{os.environ["RANK"]}', 'w').write(str(os.getpid()))
    time.sleep(600)
if sys.argv[1] == 'limit': launch(hang, timeout=6)
launch(hang)
"""


def gone(folder): return all(not os.path.exists(f'/proc/{o.read_text()}') for o in folder.glob('pid*'))


def test_nothing_is_left_behind(script, tmp_path):
    "When the time is up, and when the one who launched is killed."
    r = script(HANG, 'limit')
    assert 'TimeoutError' in r.err
    until(lambda: gone(tmp_path), 30)
    for o in tmp_path.glob('pid*'): o.unlink()
    p = script.start(HANG, 'killed')
    until(lambda: len([o for o in tmp_path.glob('pid*') if o.read_text()]) == 2, 60)
    p.kill()
    until(lambda: gone(tmp_path), 30)


def test_from_the_command_line(tmp_path, store):
    "Arguments, restarts, one run with the output of each rank, and a failure's status."
    path = tmp_path/'train.py'
    path.write_text("""
import os, signal, sys, time, mlkit
rank, attempt = int(os.environ['RANK']), int(os.environ['TORCHELASTIC_RESTART_COUNT'])
print('rank', rank, sys.argv[1:], flush=True)
run = mlkit.init('cli', f'attempt {attempt}', id=f'run{attempt}')
mlkit.log({'rank': rank}, 0)
time.sleep(.5)
if attempt == 0 and rank == 1: os.kill(os.getpid(), signal.SIGKILL)
time.sleep(1 - attempt)
""")
    code = 'import sys; from mlkit.cli.main import main; sys.exit(main())'
    r = subprocess.run([sys.executable, '-c', code, 'train', '--nproc', '2', '--restarts', '1', str(path), '--lr', '3'],
        env=clean_env(MLKIT_STORE=store), capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    assert "rank 0 ['--lr', '3']" in r.stdout
    last = mlkit.runs('cli')[0]
    assert [o.status for o in mlkit.runs('cli')] == ['finished', 'interrupted'] and len(last.history()) == 2
    assert "rank 1 ['--lr', '3']" in (last.path/'files'/'ranks'/'rank1.log').read_text()
