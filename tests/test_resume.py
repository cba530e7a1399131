"A training that is killed at random moments and resumed ends with the weights of one that never was, bit for bit."
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

# Shuffling, dropout, augmentation from the global generators in two worker processes, accumulation over uneven batches,
# a schedule, an average of the weights, and a checkpoint every other step.
SCRIPT = '''
import hashlib, random, sys
import numpy as np, torch, torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from mlkit.train import Checkpoint, DataLoaders, EMA, Learner
from mlkit.train.loop import Callback

torch.set_num_threads(1)
X = torch.randn(330, 8, generator=torch.manual_seed(0))
Y = (X.sum(1) > 0).long()

class Augmented(Dataset):
    def __len__(self): return len(X)
    def __getitem__(self, i): return X[i]*random.uniform(.9, 1.1) + np.random.normal()*.01 + torch.randn(8)*.01, Y[i]

class Slow(Callback):
    def after_batch(self, learn):
        if learn.training: print('batch', flush=True)
        import time; time.sleep(.004)

torch.manual_seed(0)
workers = dict(num_workers=2, multiprocessing_context='fork', persistent_workers=True) if int(sys.argv[2]) else {}
dls = DataLoaders(DataLoader(Augmented(), batch_size=16, shuffle=True, **workers), DataLoader(Augmented(), batch_size=64), seed=3)
model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(), torch.nn.Dropout(.2), torch.nn.Linear(32, 2))
learn = Learner(model, dls, F.cross_entropy, lr=.01, accumulate=3, clip=1., schedule='one_cycle', cbs=[EMA(.9), Slow()], device='cpu')
learn.fit(4, project=sys.argv[1], resume=True, progress=False, checkpoint=Checkpoint(steps=2, background=bool(int(sys.argv[3]))))
state = [*model.state_dict().values(), *(v for s in learn.opt.state_dict()['state'].values() for v in s.values())]
print('hash', hashlib.sha256(b''.join(t.numpy().tobytes() for t in state)).hexdigest(), learn.global_step)
'''
KILLS = int(os.environ.get('MLKIT_TEST_KILLS', 2)) # of each kind; 10 make the figure of the docs


def start(folder, project, workers=0, background=0):
    env = {**os.environ, 'MLKIT_STORE': str(folder/'store'), 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen([sys.executable, '-c', SCRIPT, project, str(workers), str(background)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=folder)


def whole(folder, project, **kw):
    out, err = start(folder, project, **kw).communicate(timeout=120)
    found = re.search(r'^hash (\w+) (\d+)$', out, re.M)
    assert found, err[-3000:]
    return found.groups()


def killed_often(folder, project, kills, seed, sig=signal.SIGKILL, **kw):
    "Kill the training after a random number of batches, start it again, and so on; then let it end."
    rng, seen = random.Random(seed), 0
    for _ in range(kills):
        p = start(folder, project, **kw)
        try:
            for _ in range(rng.randint(1, 12)):
                if not p.stdout.readline(): break
            time.sleep(rng.random()*.006)
        finally:
            p.send_signal(sig)
            p.communicate(timeout=60)
        seen += 1
    return seen, whole(folder, project, **kw)


def test_two_trainings_that_are_left_alone_agree(tmp_path):
    assert whole(tmp_path, 'a') == whole(tmp_path, 'b', workers=2)


@pytest.mark.parametrize('workers, background', [(0, 1), (2, 0)])
def test_sigkill(tmp_path, workers, background):
    kills, end = killed_often(tmp_path, 'k', KILLS, seed=workers*2 + background, workers=workers, background=background)
    assert end == whole(tmp_path, 'control')             # also: two workers give what none gives


def test_sigterm_saves_at_the_next_batch(tmp_path):
    _, end = killed_often(tmp_path, 'k', 2, seed=9, sig=signal.SIGTERM)
    assert end == whole(tmp_path, 'control')
