"GPU leases among real processes: shot, forked, of two users, and a hundred at once."
import fcntl, json, os, random, signal, subprocess, sys, tempfile, time
from pathlib import Path

import pytest

from mlkit.compute.accounts import entries, settle
from mlkit.compute.claims import Board, alone
from mlkit.compute.fitting import key
from mlkit.compute.lock import LockTimeout, lock
from mlkit.core.devices import Process, Scripted

CARDS = [dict(index=i, uuid=f'GPU-{i:04}', name='NVIDIA H100', memory_gb=80., used_gb=0., util=0., processes=[]) for i in range(4)]

@pytest.fixture(autouse=True)
def host(tmp_path, monkeypatch):
    "A host with four made-up GPUs and a folder for locks of its own."
    for o in ('SLURM_JOB_ID', 'KUBERNETES_SERVICE_HOST', 'CUDA_VISIBLE_DEVICES', 'MLKIT_LEASE', 'MLKIT_LEASE_RUNS',
        'OMP_NUM_THREADS'): monkeypatch.delenv(o, raising=False)
    (tmp_path/'box.json').write_text(json.dumps(dict(devices=CARDS)))
    monkeypatch.setenv('MLKIT_DEVICES', str(tmp_path/'box.json'))
    monkeypatch.setenv('MLKIT_LOCKS', str(tmp_path/'locks'))
    return tmp_path

def fork(f, kin=False)->int:
    "Run `f` in a forked child, which is a stranger to the leases of this process, or `kin`."
    if pid := os.fork(): return pid
    code = 1
    try:
        if not kin:
            for o in ('MLKIT_LEASE', 'CUDA_VISIBLE_DEVICES'): os.environ.pop(o, None)
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
    with lock(want) as gpus:
        fds = []
        for d in gpus:
            fds.append(fd := os.open(top/f'witness-{d.index}', os.O_RDWR | os.O_CREAT))
            try: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if os.pread(fd, 9, 0) != b'dying': (top/f'overlap-{n}-{d.index}').touch()
                fcntl.flock(fd, fcntl.LOCK_EX)           # the kernel drops the lease of one that dies before the witness
            os.ftruncate(fd, 0)
        assert os.environ['CUDA_VISIBLE_DEVICES'] == ','.join(map(key, gpus))
        (top/f'granted-{n}').touch()
        if n % 4 == 0:
            for fd in fds: os.pwrite(fd, b'dying', 0)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(rng.uniform(.0, .03))
        for fd in fds: os.close(fd)

def hold_all(top:Path)->None:
    "Hold the four devices until the file `go` is there."
    with lock(4):
        (top/'holding').touch()
        wait_for((top/'go').exists)

def test_a_hundred_processes_and_four_devices(host, capfd):
    "Nobody shares a device, nobody starves, though a quarter are shot while they hold one and some while they wait."
    holder = fork(lambda: hold_all(host))
    wait_for((host/'holding').exists)
    pids = {fork(lambda n=n: worker(host, n, 1 + (n % 10 == 3) + 2*(n % 25 == 7))): n for n in range(100)}
    rng, victims = random.Random(0), {}
    def queued(): return Board().notes('wait')
    wait_for(lambda: len(queued()) > 20)
    for note in rng.sample(queued(), 8):
        if (n := pids.get(note.body['pid'])) and n % 4 and not (host/f'granted-{n}').exists():
            os.kill(note.body['pid'], signal.SIGKILL)
            victims[n] = note
    (host/'go').touch()
    assert status(holder) == 0
    codes = {n: status(pid) for pid, n in pids.items()}
    assert not list(host.glob('overlap-*'))
    for n, code in codes.items():
        assert code == (-9 if n % 4 == 0 or n in victims else 0), n
        assert (host/f'granted-{n}').exists() or n in victims, f'{n} starved'
    held, waiting = Board().notes('held'), Board().notes('wait')
    assert not held and not waiting
    with alone(Board()): settle(Board())
    ends = {pids[o['pid']]: o['how'] for o in entries(Board()) if o['pid'] != holder}
    assert {n for n in codes if (host/f'granted-{n}').exists()} <= set(ends)
    assert all(how == ('died' if codes[n] else 'released') for n, how in ends.items() if n not in victims)

def test_a_dead_holders_device_is_granted(host, capsys):
    "The kernel lets go of what the dead held; the figure is printed with -s, and not asserted."
    def hold():
        with lock(4):
            (host/'held').touch()
            time.sleep(60)
    def take():
        with lock(4): (host/'taken').write_text(repr(time.time()))
    for _ in range(5):
        holder = fork(hold)
        wait_for((host/'held').exists)
        waiter = fork(take)
        wait_for(lambda: Board().notes('wait'))
        time.sleep(.2)
        shot = time.time()
        os.kill(holder, signal.SIGKILL)
        assert (status(holder), status(waiter)) == (-9, 0)
        with capsys.disabled(): print(f'  granted {1000*(float((host/"taken").read_text()) - shot):.0f} ms after the shot', flush=True)
        for o in ('held', 'taken'): (host/o).unlink()

# Order

def asks(host, name, *args, **kw):
    "A child that waits for a lock and notes when it got it; returns once it stands in the queue."
    def f():
        with lock(*args, **kw):
            with open(host/'order', 'a') as f: f.write(name + '\n')
            time.sleep(.02)
    before = {o.id for o in Board().notes('wait', 'held')}
    pid = fork(f)
    wait_for(lambda: {o.id for o in Board().notes('wait',
        'held')} - before or (host/'order').exists() and name in (host/'order').read_text().split())
    return pid

def order(host): return (host/'order').read_text().split()

def test_first_come_first_served(host):
    with lock(4):
        pids = [asks(host, f'n{i}', 4) for i in range(6)]
        assert [o.body['pid'] for o in Board().notes('wait')] == pids
    assert [status(o) for o in pids] == [0]*6
    assert order(host) == [f'n{i}' for i in range(6)]

def test_who_died_in_the_queue_is_skipped(host):
    with lock(4):
        pids = [asks(host, f'n{i}', 4) for i in range(4)]
        for o in pids[:2]:
            os.kill(o, signal.SIGKILL)
            status(o)
    assert [status(o) for o in pids[2:]] == [0, 0]
    assert order(host) == ['n2', 'n3']

def test_a_request_for_many_is_not_starved(host):
    "A stream of small requests doesn't go ahead of the big one, though there is a free device all the time."
    first = lock([0])
    big = asks(host, 'big', 4)
    small = [asks(host, f's{i}', 1) for i in range(5)]
    time.sleep(.5)
    assert not (host/'order').exists(), 'a small request passed the big one'
    first.release()
    assert [status(o) for o in (big, *small)] == [0]*6
    assert order(host)[0] == 'big'

def test_who_takes_nothing_away_goes_ahead(host):
    with lock([0, 1]):
        blocked = asks(host, 'blocked', [0, 1])
        assert status(asks(host, 'other', [2])) == 0
        assert order(host) == ['other']
    assert status(blocked) == 0

def test_requests_that_cross_do_not_block_each_other(host):
    "All at once or nothing: who takes 0 and then 1 can't meet who takes 1 and then 0."
    def f(which):
        for _ in range(15):
            with lock(which): pass
    pids = [fork(lambda w=w: f(w)) for w in ([0, 1], [1, 0], [1, 2], [2, 0])]
    assert [status(o) for o in pids] == [0]*4

# Shares

def test_shares_add_up(host):
    with lock([0], share=.5, env=False), lock([0], share=.5, env=False):
        with pytest.raises(LockTimeout): lock([0], share=.1, wait=False, env=False)
        with pytest.raises(LockTimeout): lock(4, wait=False, env=False)
    with lock(4, wait=False): pass

def test_memory_adds_up(host):
    with lock([0], memory_gb=50, env=False), lock([0], memory_gb=30, env=False):
        with pytest.raises(LockTimeout): lock([0], memory_gb=1, wait=False, env=False)
        with pytest.raises(LockTimeout): lock([0], wait=False, env=False)
    with lock([0], memory_gb=50, share=.1, env=False), pytest.raises(LockTimeout): lock([0], memory_gb=31, share=.1,
        wait=False, env=False)

def test_whole_devices_and_shares_exclude_each_other(host):
    with lock([0], env=False), pytest.raises(LockTimeout): lock([0], share=.1, wait=False, env=False)

def test_cpu_slots(host):
    from mlkit.core.hardware import cpu
    n = int(cpu()['cores'])
    with lock(cpus=n, env=False) as none:
        assert none == []
        with pytest.raises(LockTimeout, match='CPU slots'): lock(cpus=1, wait=False, env=False)
        with lock(1, wait=False, env=False): pass
    with pytest.raises(ValueError, match='can never be had'): lock(cpus=n + 1)

# Words

def test_the_timeout_names_who_holds_what(host):
    with lock([0], purpose='pretraining', hours=2, env=False):
        with pytest.raises(LockTimeout, match=r'GPU 0: \w+, for .*pretraining, until \d\d:\d\d'): lock([0], timeout=.1, env=False)
        with pytest.raises(LockTimeout, match='not to be had within 100 ms: GPU 0'): lock([0], timeout=.1, env=False)
    with lock([0], wait=False): pass
    assert not Board().notes('wait'), 'who gave up stands in the queue'

def test_control_characters_of_others_stay_harmless(host):
    with lock([0], purpose='\x1b[2J\nroot: all is well', env=False), pytest.raises(LockTimeout) as e: lock([0], wait=False, env=False)
    assert '\x1b' not in str(e.value) and '\n' not in str(e.value)

def test_the_place_in_the_queue_is_shown(host, capfd):
    with lock(4):
        pids = [asks(host, f'n{i}', 4) for i in range(2)]
        time.sleep(.3)
    for o in pids: status(o)
    said = capfd.readouterr().err
    assert 'waiting for 4 GPUs, first in the queue: GPU 0' in said and 'second in the queue' in said

# Strangers

def test_processes_without_a_lease_count_as_taken(host):
    p = subprocess.Popen(['sleep', '60'], start_new_session=True)
    try:
        box = Scripted([dict(o, processes=[Process(p.pid, user='bob', name='python')] if o['index'] < 3 else []) for o in CARDS])
        # a child of this process would count as ours, so ask from one that is no ancestor of it
        def f():
            assert [d.index for d in lock(1, provider=box, wait=False, env=False).devices] == [3]
            with pytest.raises(LockTimeout,
                match=rf'GPU 0: process {p.pid} \(python\) of bob, without a lock'): lock(2, provider=box, wait=False, env=False)
        assert status(fork(f)) == 0
    finally:
        p.kill()
        p.wait()

def test_a_holders_children_are_no_strangers(host):
    def hold():
        with lock([0], share=.5): subprocess.run(['sh', '-c', f'echo $$ > {host}/pid; exec sleep 60'])
    holder = fork(hold)
    wait_for(lambda: (host/'pid').exists() and (host/'pid').read_text().strip())
    pid = int((host/'pid').read_text())
    box = Scripted([dict(CARDS[0], processes=[Process(pid)])])
    def ask():
        with lock([0], share=.5, provider=box, wait=False): pass
    assert status(fork(ask)) == 0
    os.kill(holder, signal.SIGKILL)
    status(holder)
    assert status(fork(ask)) == 3, 'the orphan computes without a lease'
    os.kill(pid, signal.SIGKILL)

# Children

def test_a_forked_child_does_not_keep_a_dead_holders_lease(host):
    def hold():
        held = lock(4)
        if not os.fork():
            assert not held.held
            held.release()                          # the child's copy; the parent's lease stays
            (host/'child').write_text(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        wait_for((host/'child').exists)
        (host/'held').touch()
        time.sleep(60)
    holder = fork(hold)
    wait_for((host/'held').exists)
    with pytest.raises(LockTimeout): lock(1, wait=False)
    os.kill(holder, signal.SIGKILL)
    status(holder)
    try:
        with lock(4, wait=False): pass
    finally: os.kill(int((host/'child').read_text()), signal.SIGKILL)

def test_not_even_one_that_was_forked_behind_pythons_back(host):
    "A C library's fork runs no Python code in the child, so the lock stays open there; the dead writer still counts as dead."
    def hold():
        import ctypes
        held = lock(4)
        if not ctypes.CDLL(None).fork():
            (host/'child').write_text(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        wait_for((host/'child').exists)
        (host/'held').touch()
        time.sleep(60)
        held.release()
    holder = fork(hold)
    wait_for((host/'held').exists)
    os.kill(holder, signal.SIGKILL)
    status(holder)
    try:
        with lock(4, wait=False): pass
    finally: os.kill(int((host/'child').read_text()), signal.SIGKILL)

def test_a_program_that_is_executed_inherits_nothing(host):
    with lock(4):
        code = "import os; print([os.path.realpath(f'/proc/self/fd/{o}') for o in os.listdir('/proc/self/fd')])"
        seen = subprocess.run([sys.executable, '-c', code], close_fds=False, capture_output=True, text=True).stdout
    assert 'held-' not in seen and 'mlkit-' not in seen

def test_inherit_means_inherit(host):
    def hold():
        lock(4, inherit=True)
        if not os.fork():
            (host/'child').write_text(str(os.getpid()))
            time.sleep(60)
            os._exit(0)
        wait_for((host/'child').exists)
        os._exit(0)
    assert status(fork(hold)) == 0
    with pytest.raises(LockTimeout): lock(1, wait=False)
    os.kill(int((host/'child').read_text()), signal.SIGKILL)
    wait_for(lambda: not Board().notes('held'))

def test_an_inner_lock_uses_the_outer_ones_devices(host):
    with lock(2) as outer:
        def f():
            with lock(1) as inner: assert key(inner[0]) in map(key, outer)
            with pytest.raises(ValueError, match='under a lease already'): lock(3)
        assert status(fork(f, kin=True)) == 0
        with lock(2) as same: assert same == outer
        assert os.environ['CUDA_VISIBLE_DEVICES'] == 'GPU-0000,GPU-0001'
    assert 'CUDA_VISIBLE_DEVICES' not in os.environ

def test_a_stale_lease_in_the_environment_is_no_lease(host, monkeypatch):
    monkeypatch.setenv('MLKIT_LEASE', '123-456')
    with lock(1) as gpus: assert len(gpus) == 1 and len(Board().notes('held')) == 1

def test_ctrl_c_in_the_block_gives_back(host):
    with pytest.raises(KeyboardInterrupt), lock(4): raise KeyboardInterrupt
    assert 'CUDA_VISIBLE_DEVICES' not in os.environ
    with lock(4, wait=False): pass

def test_ctrl_c_while_waiting_leaves_the_queue(host):
    with lock(4):
        pid = asks(host, 'n', 4)
        os.kill(pid, signal.SIGINT)
        assert status(pid) == 1
        assert not Board().notes('wait', dead=True)

def test_a_program_that_forgets_to_release_still_writes_its_line(host):
    subprocess.run([sys.executable, '-c', 'from mlkit.compute.lock import lock; held = lock(2)'], check=True)
    assert [o['how'] for o in entries(Board())] == ['released']

# The engine, CUDA

def test_no_lock_where_an_engine_assigns(host, monkeypatch, capsys):
    monkeypatch.setenv('SLURM_JOB_ID', '17')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '2,3')
    with lock(1) as gpus: assert [d.index for d in gpus] == [2, 3] and not Board().notes('held')
    assert 'SLURM job 17 has assigned GPU 2, GPU 3: no lock is taken' in capsys.readouterr().err
    with lock(cpus=1): assert not Board().notes('held')
    assert 'SLURM job 17 has assigned the CPUs: no lock is taken' in capsys.readouterr().err
    assert os.environ['CUDA_VISIBLE_DEVICES'] == '2,3'
    with pytest.raises(ValueError, match='has assigned 2 GPUs; ask it for more'): lock(3)

def test_cpu_slots_in_a_plain_container(host, monkeypatch, capsys):
    "Docker deals out GPUs and leaves the CPUs to the programs: those are locked, whatever else is asked for."
    import importlib
    module = importlib.import_module('mlkit.compute.lock')
    from mlkit.core.hardware import cpu
    monkeypatch.setattr(module, 'engine', lambda: 'Docker')
    cores = int(cpu()['cores'])
    with lock(cpus=cores) as none:
        note, = Board().notes('held')
        assert none == [] and note.body['cpus'] == cores and not capsys.readouterr().err
        with pytest.raises(LockTimeout, match='CPU slot'): lock(cpus=1, wait=False, env=False)
    with lock(4, cpus=1) as gpus:
        assert [d.index for d in gpus] == [0, 1, 2, 3] and Board().notes('held')[0].body['cpus'] == 1
        assert 'Docker has assigned GPU 0, GPU 1, GPU 2, GPU 3: no lock is taken on GPUs' in capsys.readouterr().err
        with lock(1, cpus=1) as inner: assert inner[0].index == 0
    with lock(1): assert not Board().notes('held')
    monkeypatch.setattr(module, 'engine', lambda: 'Kubernetes')
    with lock(cpus=1): assert not Board().notes('held')

def test_only_what_the_process_may_see_is_leased(host, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3')
    with lock(1) as gpus: assert [d.index for d in gpus] == [3] and os.environ['CUDA_VISIBLE_DEVICES'] == 'GPU-0003'
    assert os.environ['CUDA_VISIBLE_DEVICES'] == '3'
    with pytest.raises(ValueError, match='may see'): lock(2)

def test_too_late_is_said(host, monkeypatch):
    from types import SimpleNamespace
    started = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))
    def f():
        sys.modules['torch'] = started
        with pytest.raises(RuntimeError, match='uses CUDA already.*restart the kernel'): lock(1)
        lock(1, env=False).release()                # for a child that starts later
    assert status(fork(f)) == 0

def test_a_cell_that_runs_again_gets_its_device_again(host):
    from types import SimpleNamespace
    def f():
        with lock([2]): sys.modules['torch'] = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True))
        with lock(1) as gpus: assert [d.index for d in gpus] == [2]
        with pytest.raises(RuntimeError): lock(2)
    assert status(fork(f)) == 0

# Hostile neighbours

@pytest.fixture
def public(host, monkeypatch):
    "A folder that other users reach too."
    with tempfile.TemporaryDirectory(dir='/tmp', prefix='locktest-') as o:
        os.chmod(o, 0o755)
        os.mkdir(f'{o}/locks')
        os.chmod(f'{o}/locks', 0o1777)
        (Path(o)/'box.json').write_text((host/'box.json').read_text())
        monkeypatch.setenv('MLKIT_LOCKS', f'{o}/locks')
        monkeypatch.setenv('MLKIT_DEVICES', f'{o}/box.json')
        yield Path(o)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')

def as_nobody(f)->int:
    "Run `f` as the user nobody."
    def g():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        f()
    return status(fork(g))

@as_root
def test_two_users(public):
    os.umask(0o077)
    try:
        with lock([0, 1, 2]):
            def f():
                with lock(1, wait=False) as gpus: assert [d.index for d in gpus] == [3]
                with pytest.raises(LockTimeout, match='GPU 0, GPU 1, GPU 2: root'): lock(2, wait=False)
            assert as_nobody(f) == 0
    finally: os.umask(0o022)
    assert sorted(o['user'] for o in entries(Board())) == ['nobody', 'root']

@as_root
def test_nobody_can_take_down_or_forge_anothers_lease(public):
    with lock(4):
        folder = next((public/'locks').glob('mlkit-*'))
        note = next(folder.glob('held-*'))
        def f():
            for attack in (lambda: note.unlink(), lambda: note.write_text('{}'), lambda: os.rename(folder,
                public/'locks'/'away'), lambda: os.rename(folder, public/'locks'/'mlkit-x'),
                    lambda: (folder/'held-9-9.json').write_text('{}'), lambda: os.chmod(folder,
                        0o777), lambda: os.rmdir(folder), lambda: os.utime(note, (0, 0))):
                with pytest.raises(PermissionError): attack()
            with pytest.raises(LockTimeout): lock(1, wait=False)
        assert as_nobody(f) == 0

@as_root
def test_a_planted_link_leads_nowhere(public):
    victim = public/'victim'
    victim.mkdir()
    def plant():
        os.symlink(victim, public/'locks'/'mlkit-0')
        own = public/'locks'/'mlkit-65534'
        own.mkdir()
        os.symlink('/etc/shadow', own/'held-1-1.json')
        os.mkfifo(own/'held-2-2.json')
        (own/'held-3-3.json').write_text('x'*10**6)
        (own/'held-4-4.json').write_text('[' * 60_000)
        os.symlink('/etc/passwd', own/'ledger.jsonl')
    assert as_nobody(plant) == 0
    with lock(4) as gpus: assert len(gpus) == 4
    assert not list(victim.iterdir())
    assert [o['user'] for o in entries(Board())] == ['root']

@as_root
def test_what_lies_in_anothers_open_folder_is_not_believed(public):
    "A folder that everybody can write to proves nothing about who wrote what is in it."
    def f():
        from mlkit.compute.claims import post
        post(Board(), 'held', dict(devices=[dict(key='GPU-0000', share=1, memory_gb=80)]))
        os.chmod(public/'locks'/'mlkit-65534', 0o777)
        with lock([0], wait=False): pass
    assert as_nobody(f) == 0

@as_root
def test_a_folder_of_another_user_is_refused(public):
    (public/'theirs').mkdir()
    os.chown(public/'theirs', 65534, 65534)
    os.chmod(public/'theirs', 0o1777)
    with pytest.raises(OSError, match="belongs to nobody, who could remove your leases"): lock(1, folder=public/'theirs')

def test_a_link_in_the_place_of_the_folder_is_refused(host):
    (host/'locks').symlink_to(host)
    with pytest.raises(OSError, match='no link'): lock(1)

def test_notes_that_lie_make_no_room(host):
    from mlkit.compute.claims import post
    for o in (dict(devices=[dict(key='GPU-0000', share=-9, memory_gb=-9)]), dict(devices='x'), dict(cpus=-100),
        dict(devices=[None, 3]), dict(devices=[dict(key='GPU-0001', share=float('nan'), memory_gb=1)])):
        post(Board(), 'held', o)
    for o in ('x', dict(gpus='many'), dict(gpus=-3), dict(share=9), None): post(Board(), 'wait', dict(want=o))
    with lock([0], env=False), pytest.raises(LockTimeout): lock([0], wait=False, env=False)

# The command

def lock_command(*args): return [sys.executable, '-c',
    'import sys; from mlkit.cli.compute import lock; sys.exit(lock(*sys.argv[1:]))', *args]

def test_the_command_passes_signals_and_status_on(host):
    p = subprocess.Popen(lock_command('sh', '-c', 'trap "exit 7" TERM; echo ready; while :; do sleep .05; done'),
        stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == 'ready\n'
    p.send_signal(signal.SIGTERM)
    assert p.wait() == 7
    p.stdout.close()
    assert not Board().notes('held') and [o['how'] for o in entries(Board())] == ['released']

def test_when_the_wrapper_is_shot_nothing_of_it_survives(host):
    p = subprocess.Popen(lock_command('sh', '-c', f'(sleep 60 & echo $! > {host}/grandchild; wait) & wait'))
    wait_for(lambda: (host/'grandchild').exists() and (host/'grandchild').read_text().strip())
    grandchild = int((host/'grandchild').read_text())
    assert len(Board().notes('held')) == 1
    p.kill()
    p.wait()
    assert not Board().notes('held')
    from mlkit.compute.claims import process_stat
    wait_for(lambda: process_stat(grandchild).get('state', 'Z') in 'ZX')

# The ledger

def test_runs_are_noted(host, monkeypatch):
    "A run that begins under a lease is what the time is spent on, until it ends."
    import mlkit
    from mlkit.compute.occupancy import ledger
    monkeypatch.setenv('MLKIT_STORE', str(host/'store'))
    with mlkit.init('locked', console=False): pass                      # over before the lease begins
    with lock(2):
        with mlkit.init('locked', console=False) as first:
            wait_for(lambda: Board().notes('held')[0].body.get('run') == first.id)
        with mlkit.init('locked', console=False) as second: time.sleep(.05)
    seen = ledger().by('run')
    assert set(seen) == {(None,), (first.id,), (second.id,)}
    total = ledger().rows[-1]['until'] - ledger().rows[0]['since']
    assert sum(seen.values()) == pytest.approx(2*total)

CHILD = """
import mlkit, os, sys, time
for i in range(2):
    with mlkit.init('locked', f'run{i}', console=False, code=False, packages=False, system=False, hardware=True) as run:
        print(run.id, flush=True)
        while not os.path.exists(f'{sys.argv[1]}/go{i}'): time.sleep(.01)
"""

@pytest.mark.parametrize('shot', [False, True])
def test_the_runs_of_a_command_are_noted(host, monkeypatch, shot):
    "A lease that `mlkit lock` made for a program knows its runs while they go on, and so does the ledger, even if all are shot."
    import mlkit
    from mlkit.compute.cost import cost
    from mlkit.compute.occupancy import gpus, ledger
    monkeypatch.setenv('MLKIT_STORE', str(host/'store'))
    monkeypatch.delenv('MLKIT_PARENT_RUN', raising=False)
    p = subprocess.Popen(lock_command(sys.executable, '-c', CHILD, host), stdout=subprocess.PIPE, text=True)
    first = p.stdout.readline().strip()
    wait_for(lambda: Board().notes('held')[0].body.get('run') == first)
    assert first in repr(gpus().json())
    (host/'go0').touch()
    second = p.stdout.readline().strip()
    if shot: p.kill()
    (host/'go1').touch()
    p.wait()
    with alone(Board()): settle(Board())
    assert {k for (k,) in ledger().by('run')} >= {first, second} and {k for (k,) in ledger().by('run')} <= {first, second, None}
    assert [o['how'] for o in entries(Board())] == ['died' if shot else 'released'] and 'heard' not in entries(Board())[0]
    assert not list((host/'locks').rglob('runs-*'))
    if shot: return
    assert {o.run.id: (o.counted, o.gpus) for o in cost(mlkit.runs('locked'), rate=1.)} == dict.fromkeys((first, second), ('lease', 1))

def test_who_dies_between_the_line_and_the_note_is_counted_once(host):
    from mlkit.compute.accounts import as_entry, enter
    def f():
        held = lock(1)
        enter(Board(), as_entry(held._note, time.time(), 'released'))
        os._exit(0)
    assert status(fork(f)) == 0
    assert [o['how'] for o in entries(Board())] == ['released']
    with alone(Board()): settle(Board())
    assert [o['how'] for o in entries(Board())] == ['released']

def test_ledger_survives_torn_and_foreign_lines(host):
    with lock(1): pass
    with open(next((host/'locks').glob('mlkit-*'))/'ledger.jsonl',
        'ab') as f: f.write(b'\n{"torn\n[1]\nnull\n{"since": "x", "devices": 7}\n')
    from mlkit.compute.occupancy import ledger
    assert [o['how'] for o in ledger().rows] == ['released']
