"GPU leases among real processes: shot, forked, of two users, and a hundred at once."
import fcntl, json, os, random, signal, subprocess, sys, tempfile, time
from pathlib import Path

import pytest

from mlkit.compute.claims import Board, alone, entries, open_shared, settle
from mlkit.compute.fitting import key
from mlkit.compute.lock import LockTimeout, lock
from mlkit.core.devices import Device, Process, Scripted

CARDS = [dict(index=i, uuid=f'GPU-{i:04}', name='NVIDIA H100', memory_gb=80., used_gb=0., util=0., processes=[]) for i in range(4)]

@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    "A host with four made-up GPUs and a folder for locks of its own."
    for o in ('SLURM_JOB_ID', 'KUBERNETES_SERVICE_HOST', 'CUDA_VISIBLE_DEVICES', 'MLKIT_LEASE', 'OMP_NUM_THREADS'): monkeypatch.delenv(o, raising=False)
    (tmp_path/'box.json').write_text(json.dumps(dict(devices=CARDS)))
    monkeypatch.setenv('MLKIT_DEVICES', str(tmp_path/'box.json'))
    monkeypatch.setenv('MLKIT_LOCKS', str(tmp_path/'locks'))
    return tmp_path

def fork(f)->int:
    "Run `f` in a forked child."
    if pid := os.fork(): return pid
    code = 1
    try:
        f()
        code = 0
    except LockTimeout: code = 3
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)

def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(.005)
    return got

def status(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

# A hundred processes, four devices

def worker(top:Path, n:int, want:int)->None:
    "Hold devices for a moment; a lock of the test's own bears witness that nobody else does."
    rng = random.Random(n)
    (top/'asked').mkdir(exist_ok=True)
    with lock(want) as gpus:
        fds = []
        for d in gpus:
            fds.append(fd := os.open(top/f'witness-{d.index}', os.O_RDWR | os.O_CREAT))
            try: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError: (top/f'overlap-{n}-{d.index}').touch()
        assert os.environ['CUDA_VISIBLE_DEVICES'] == ','.join(map(key, gpus))
        (top/f'granted-{n}').touch()
        if n % 4 == 0:                              # shot while it holds the devices
            with open(top/'shots', 'a') as f: f.write(json.dumps([time.time(), *(d.index for d in gpus)]) + '\n')
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(rng.uniform(.0, .03))
        with open(top/'grants', 'a') as f: f.write(json.dumps([n, time.time()]) + '\n')
        for fd in fds: os.close(fd)

def test_a_hundred_processes_and_four_devices(host, capfd):
    "Nobody shares a device, nobody starves, though a quarter are shot while they hold one and some while they wait."
    pids = {fork(lambda n=n: worker(host, n, 1 + (n % 10 == 3) + 2*(n % 25 == 7))): n for n in range(100)}
    rng, victims = random.Random(0), {}
    queued = lambda: Board().notes('wait')
    wait_for(lambda: len(queued()) > 20)
    for note in rng.sample(queued(), 8):
        if (n := pids.get(note.body['pid'])) and n % 4 and not (host/f'granted-{n}').exists():
            os.kill(note.body['pid'], signal.SIGKILL)
            victims[n] = note
    codes = {n: status(pid) for pid, n in pids.items()}
    assert not list(host.glob('overlap-*'))
    for n, code in codes.items():
        assert code == (-9 if n % 4 == 0 or n in victims else 0), n
        assert (host/f'granted-{n}').exists() or n in victims, f'{n} starved'
    held, waiting = Board().notes('held'), Board().notes('wait')
    assert not held and not waiting
    with alone(Board()): settle(Board())
    how = [o['how'] for o in entries(Board())]
    shot = sum(c == -9 for n, c in codes.items() if (host/f'granted-{n}').exists())
    assert how.count('died') == shot and len(how) == sum((host/f'granted-{n}').exists() for n in range(100))
