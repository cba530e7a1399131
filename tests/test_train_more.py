"Mistakes are said once and early, a resumed fit says what differs, and what measures a fit doesn't change it."
import os
import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import mlkit
from mlkit.train import BatchError, Callback, DataLoaders, FindNaN, Learner, TensorLoader

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


class Spoil(Callback):
    "A weight that becomes NaN."
    def __init__(self, at): self.at = at
    def after_step(self, learn):
        if learn.global_step == self.at: learn.model[0].weight.data[0, 0] = float('nan')


@pytest.mark.parametrize('kw', [dict(project='p'), dict(run=False), dict(project='p', progress=True)], ids=['tracked', 'untracked', 'bar'])
def test_a_nan_is_told_once_in_each_fit(kw, capsys):
    for _ in range(2):
        learner(cbs=[Spoil(5)]).fit(3, **{'progress': False, **kw})
        said = capsys.readouterr().err
        assert said.count('the loss is nan') == 1 and 'FindNaN()' in said
        assert kw == dict(run=False) or 'at step 5;' in said
    learner().fit(1, **{'progress': False, **kw})
    assert 'nan' not in capsys.readouterr().err


def test_find_nan_is_enough():
    with pytest.raises(FloatingPointError, match="parameter 0.weight"): learner(cbs=[Spoil(5), FindNaN()]).fit(1, progress=False)


def stopped(epochs=2, at=5, project='p', **kw):
    class Stop(Callback):
        def after_batch(self, learn):
            if learn.training and learn.global_step == at: learn.interrupt()
    with pytest.raises(KeyboardInterrupt): learner(cbs=[Stop()], **kw).fit(epochs, project=project, progress=False)


def test_more_epochs_go_on_to_the_new_total(capsys):
    stopped(2, schedule='one_cycle')
    capsys.readouterr()
    learn = learner(schedule='one_cycle')
    learn.fit(4, project='p', resume=True, progress=False)
    assert learn.global_step == 4*9 and len(mlkit.runs('p')) == 1
    assert 'goes on to 4 epochs, not to 2' in capsys.readouterr().err
    lrs = mlkit.runs('p').latest().history(['train/lr'])
    assert lrs['_step'].tolist() == list(range(36)) and lrs['train/lr'].iloc[-1] < 1e-5


@pytest.mark.parametrize('schedule', ['one_cycle', 'cosine', 'linear'])
def test_same_epochs_say_nothing_and_end_bitwise(schedule, capsys):
    "The control: nothing changed, nothing said, and the weights are those of a fit that never stopped."
    stopped(2, schedule=schedule)
    capsys.readouterr()
    learn = learner(schedule=schedule)
    learn.fit(2, project='p', resume=True, progress=False)
    assert capsys.readouterr().err == ''
    whole = learner(schedule=schedule)
    whole.fit(2, run=False, progress=False)
    assert torch.equal(weights(learn.model), weights(whole.model))


@pytest.mark.parametrize('dls,words,steps', [
    (dict(bs=16), 'batch size is 16 and was 32: the fit goes on at the same sample;', 5 + 7 + 17),
    (dict(bs=48), 'less 16 that come again', 5 + 6 - 3 + 6),
    (dict(bs=32, seed=7), 'seed of the batches\' order is 7 and was 0', 18),
    (dict(bs=32, valid=.5), 'number of training samples is 165 and was 264', 6 + 6)], ids=['half', 'odd', 'seed', 'length'])
def test_other_data_on_resume_is_told(dls, words, steps, capsys):
    stopped(2)
    capsys.readouterr()
    learn = learner(dls=DataLoaders.from_tensors((X, Y), **dls))
    learn.fit(2, project='p', resume=True, progress=False)
    assert words in capsys.readouterr().err and learn.global_step == steps


def test_a_fit_stopped_while_validating_keeps_its_last_training_row():
    "The validation comes again at the step of the last loss, which must not count as replaced."
    class Stop(Callback):
        def after_batch(self, learn):
            if not learn.training and not learn.resuming: learn.interrupt()
    with pytest.raises(KeyboardInterrupt): learner(cbs=[Stop()]).fit(2, project='p', progress=False)
    learner().fit(2, project='p', resume=True, progress=False)
    run = mlkit.runs('p').latest()
    assert run.metric('train/loss').step.tolist() == list(range(18)) and run.metric('valid/loss').step.tolist() == [8, 17]


def test_a_killed_fit_shows_each_step_once(tmp_path):
    code = '''import os, sys, torch, torch.nn.functional as F
from mlkit.train import Callback, Checkpoint, DataLoaders, Learner
class Kill(Callback):
    order = 99
    def after_batch(self, learn):
        if sys.argv[1] == 'kill' and learn.global_step == 17:
            for o in learn.acting: hasattr(o, 'flush') and o.flush()
            os.kill(os.getpid(), 9)
dls = DataLoaders.from_tensors((torch.randn(100, 4), torch.randint(0, 2, (100,))), bs=8)
Learner(torch.nn.Linear(4, 2), dls, F.cross_entropy, cbs=[Kill()], device='cpu').fit(3, project='p', progress=False, resume=True,
    checkpoint=Checkpoint(steps=5))'''
    for how in ('kill', 'go on'): subprocess.run([sys.executable, '-c', code, how], cwd=tmp_path, env=dict(os.environ))
    run = mlkit.runs('p').latest()
    assert run.metric('train/loss').step.tolist() == list(range(30))
    assert run.history(['train/loss'], by='step')['_step'].tolist() == list(range(30))


def test_an_interrupted_script_says_how_to_go_on(tmp_path):
    code = '''import sys, torch, torch.nn.functional as F
from mlkit.train import Callback, DataLoaders, Learner
class Press(Callback):
    def after_batch(self, learn):
        if learn.global_step == 3: learn.interrupt()
dls = DataLoaders.from_tensors((torch.randn(99, 4), torch.randint(0, 2, (99,))), bs=8)
kw = dict(run=False) if 'bare' in sys.argv else dict(project='p')
Learner(torch.nn.Linear(4, 2), dls, F.cross_entropy, cbs=[Press()], device='cpu').fit(9, progress=False, **kw)'''
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode and 'epoch 1 of 9 after batch 3. fit(..., resume=True) goes on there' in r.stderr
    r = subprocess.run([sys.executable, '-c', code, 'bare'], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode and 'No checkpoint' in r.stderr and 'resume=True' not in r.stderr


@pytest.mark.parametrize('loss', [F.cross_entropy, nn.CrossEntropyLoss()], ids=['function', 'module'])
def test_a_class_out_of_range_is_named(loss):
    with pytest.raises(BatchError, match='class 2, and the model gives 2 scores.*give the model 3 outputs'):
        learner(dls=DataLoaders(TensorLoader(X, Y + 1, bs=330)), loss=loss).fit(1, run=False, progress=False)


MSE = [F.mse_loss, nn.L1Loss(), lambda p, t: (p - t).pow(2).mean()]

@pytest.mark.parametrize('loss', MSE, ids=['function', 'module', 'formula'])
@pytest.mark.filterwarnings('ignore:Using a target size')
def test_a_silent_broadcast_is_warned_of(loss):
    dls = DataLoaders(TensorLoader(X, X.sum(1), bs=66))
    with pytest.warns(UserWarning, match=r'predictions \(66, 1\) and targets \(66,\).*squeeze'):
        learner(nn.Linear(8, 1), dls, loss=loss).fit(1, run=False, progress=False)


def test_a_loss_that_squeezes_is_left_alone():
    dls = DataLoaders(TensorLoader(X, X.sum(1), bs=66))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learner(nn.Linear(8, 1), dls, loss=lambda p, t: F.mse_loss(p[:, 0], t)).fit(1, run=False, progress=False)
        learner(nn.Linear(8, 1), DataLoaders(TensorLoader(X, X[:, :1], bs=66)), loss=F.mse_loss).fit(1, run=False, progress=False)


def test_a_seeded_fit_repeats_and_puts_everything_back():
    import random
    from mlkit.train import Seed
    def end(**kw):
        learn = learner(cbs=kw.pop('cbs', []), **kw)
        torch.manual_seed(torch.seed() % 2**31)
        was = (torch.get_rng_state(), random.getstate(), torch.are_deterministic_algorithms_enabled(),
            os.environ.get('CUBLAS_WORKSPACE_CONFIG'))
        learn.fit(2, run=False, progress=False)
        assert torch.equal(torch.get_rng_state(), was[0]) and random.getstate() == was[1]
        assert (torch.are_deterministic_algorithms_enabled(), os.environ.get('CUBLAS_WORKSPACE_CONFIG')) == was[2:]
        return weights(learn.model)
    a = end(seed=3, deterministic=True)
    assert torch.equal(a, end(seed=3)) and torch.equal(a, end(cbs=[Seed(3)])) and not torch.equal(a, end(seed=4))


def test_what_measures_does_not_change_the_fit(tmp_path):
    from mlkit.train import Profile, Throughput
    def end(*cbs):
        learn = learner(cbs=cbs)
        torch.manual_seed(1)
        learn.fit(2, project='p', progress=False)
        return weights(learn.model)
    look, speed = Profile(steps=2), Throughput(peak=1e12, count=lambda b: 7*len(b[0]), unit='tokens')
    plain = end()
    assert torch.equal(plain, end(look, speed))
    assert [p.name for p in mlkit.runs('p').latest().files if p.suffix == '.json'] == ['profile.json'] and len(look.df)
    f = speed.figures()
    assert speed.counted == 7*264 and speed.flops == 32*2*(8*16*2 + 16*2*3) and 0 < f['mfu'] < 1 and f['tokens_per_s'] > f['samples_per_s']


def test_a_seeded_fit_resumes_bitwise():
    stopped(2, seed=5)
    learn, whole = learner(seed=5), learner(seed=5)
    learn.fit(2, project='p', resume=True, progress=False)
    whole.fit(2, run=False, progress=False)
    assert torch.equal(weights(learn.model), weights(whole.model))


@pytest.mark.parametrize('every', [1, 2])
def test_activation_checkpointing_changes_no_bit_and_no_name(every):
    from mlkit.train import ActivationCheckpoint
    def end(*cbs):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.GELU(), nn.Dropout(.1))
            for _ in range(4)]), nn.Linear(16, 2))
        seen = []
        class Look(Callback):
            def after_batch(self, learn): seen.append((learn.loss.item(), list(learn.model.state_dict())))
        learner(model, cbs=[Look(), *cbs]).fit(2, run=False, progress=False)
        assert not any('forward' in vars(m) for m in model.modules())
        return seen
    assert end(ActivationCheckpoint(every)) == end()


def test_a_model_without_blocks_is_told():
    from mlkit.train import ActivationCheckpoint
    with pytest.raises(ValueError, match='repeats no block'): learner(cbs=[ActivationCheckpoint()]).fit(1, run=False, progress=False)


def test_an_attribute_that_is_called_like_a_verb_replaces_nothing():
    "A number called `step` is no method."
    class At(Callback):
        def __init__(self): self.step = 3
    learner(cbs=[At()]).fit(1, run=False, progress=False)


@pytest.mark.parametrize('which', [True, 2, 'auto'])
def test_checkpointing_is_an_argument(which):
    def end(**kw):
        torch.manual_seed(0)
        body = [nn.Sequential(nn.Linear(16, 16), nn.GELU()) for _ in range(3)]
        model = nn.Sequential(nn.Linear(8, 16), nn.Sequential(*body), nn.Linear(16, 2))
        learn = learner(model, **kw)
        learn.fit(1, run=False, progress=False)
        return [p.detach() for p in learn.model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(end(checkpointing=which), end(), strict=True))


def test_a_checkpoint_that_vanishes_while_they_are_listed_is_left_out(tmp_path):
    "The training that writes them removes old ones between the listing and the look at a file; a link to nowhere stands for one."
    torch.save({}, tmp_path/'step-00000002.pt')
    (tmp_path/'step-00000001.pt').symlink_to('gone')
    assert [o.step for o in mlkit.train.checkpoints(tmp_path)] == [2]
