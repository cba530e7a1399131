"Thirty ways in which a machine fails people, each made here, seen by a check, and answered with a remedy."
import ctypes
import json
import os
import re
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import clean_env
from hypothesis import given, settings
from hypothesis import strategies as st

import mlkit.compute.checks  # registers all checks
from mlkit.compute.doctor import CHECKS, Context, doctor, judge
from mlkit.compute.host_checks import trial
from mlkit.core.devices import NoDevices, Nvml, Scripted

assert mlkit.compute.checks
OURS = [c for c in CHECKS.values() if c.judge.__module__.startswith('mlkit.')]
CARD = dict(index=0, name='NVIDIA A100-SXM4-80GB', vendor='nvidia', memory_gb=80., used_gb=1., capability=[8, 0], processes=[])
NODES = [dict(path=f'/dev/{o}', usable=True) for o in ('nvidia0', 'nvidiactl', 'nvidia-uvm')]
PCI = [dict(vendor='nvidia', kind='0x030200')]

def gpu(n=1, driver='580.65.06', error=None, **kw): return dict(driver=driver, error=error,
    devices=[dict(CARD, **{'index': i, **kw}) for i in range(n)])
def torch(cuda='12.8', version='2.9.0', **kw): return dict(python='3.11.7', executable='python',
    torch=dict(version=version, cuda=cuda, **kw))
def cvd(value, n=2, **kw): return dict(host=dict(env=dict(CUDA_VISIBLE_DEVICES=value)), gpu=gpu(n), **kw)
def under_load(**sample): return dict(works=dict(load=dict(found=[dict(device='cuda:0', dtype='bfloat16', tflops=250.,
    samples=[dict(sample, index=0)]*9)])))
def linked(**kw):
    sample = dict(dict(index=0, pcie_gen=4, pcie_gen_max=4, pcie_width=16, pcie_width_max=16), **kw)
    return dict(works=dict(bandwidth=dict(found=[dict(device='cuda:0', to=None, samples=[sample])],
        disk=dict(read=900., write=900.))))

DOCKER = dict(container='docker')
INSIDE = dict(context=DOCKER, nodes=NODES)

# ---- made-up machines: number in the list, what fails, check, verdict, a word of the remedy or command, facts

SCRIPTED = [
    (1, 'CPU wheel on an NVIDIA box', 'torch build', 'fail', 'whl/cu130', dict(host=dict(pci=PCI), software=torch(None),
    gpu=gpu())),
    (1, 'CPU wheel, and the driver is not loaded', 'torch build', 'fail', 'whl/cu130',
    dict(host=dict(pci=PCI), software=torch(None))),
    (1, 'CPU wheel on a Pascal card', 'torch build', 'fail', 'whl/cu126',
        dict(host=dict(pci=PCI), software=torch(None), gpu=gpu(capability=[6, 1]))),
    (2, 'driver below the floor', 'driver and CUDA', 'fail', 'Update the driver to 570.26',
        dict(software=torch('12.8'), gpu=gpu(driver='470.82.01'))),
    (2, 'driver below the floor of CUDA 13', 'driver and CUDA', 'fail', 'cu126',
    dict(software=torch('13.0'), gpu=gpu(driver='550.54.14'))),
    (3, 'driver between floor and toolkit', 'driver and CUDA', 'warn', 'UnsupportedPtxVersion',
        dict(software=torch('12.8'), gpu=gpu(driver='535.54.03'))),
    (3, 'PTX newer than the driver, when compiled', 'torch.compile', 'fail', 'Update the driver',
        dict(compiled=dict(error='CUDA error: the provided PTX was compiled with an unsupported toolchain.'))),
    (4, 'wheel lacks an old architecture', 'architectures', 'fail', 'cu126',
    dict(software=torch('13.0'), gpu=gpu(capability=[7, 0]))),
    (4, 'wheel lacks a new architecture', 'architectures', 'fail', 'cu130',
    dict(software=torch('12.6'), gpu=gpu(capability=[12, 0]))),
    (4, 'no kernel image', 'operations', 'fail', 'code for this card', dict(works=dict(operations=dict(found=[
        dict(device='cuda:0', dtype='float32', error='CUDA error: no kernel image is available for execution on the device')])))),
    (5, 'CUDA_VISIBLE_DEVICES hides all', 'visible devices', 'warn', 'unset CUDA_VISIBLE_DEVICES', cvd('-1')),
    (5, 'CUDA_VISIBLE_DEVICES names no device', 'visible devices', 'fail', 'index or UUID', cvd('0,7')),
    (5, 'CUDA_VISIBLE_DEVICES names one twice', 'visible devices', 'fail', 'once', cvd('1,1')),
    (5, 'CUDA_VISIBLE_DEVICES set too late', 'visible devices', 'fail', 'Restart the kernel', cvd('0', session=dict(count=2))),
    (5, 'mixed cards in CUDA\'s order', 'visible devices', 'warn', 'PCI_BUS_ID',
        dict(host=dict(env={}), gpu=dict(devices=[CARD, dict(CARD, index=1, name='NVIDIA T4')]))),
    (6, 'container without GPU', 'device files', 'fail', '--gpus all', dict(host=dict(pci=PCI, context=DOCKER, nodes=[]))),
    (6, 'pod without GPU', 'device files', 'fail', 'nvidia.com/gpu', dict(host=dict(pci=PCI, context=dict(DOCKER, kubernetes=True),
    nodes=[]))),
    (6, 'container without GPU, bus hidden', 'device files', 'warn', '--gpus all',
    dict(host=dict(context=DOCKER, nodes=[]), software=torch())),
    (7, 'container lost its GPU', 'NVML', 'fail', 'restart', dict(host=INSIDE, gpu=gpu(0, error='UNKNOWN: Unknown Error'))),
    (8, 'library and module differ', 'NVML', 'fail', 'restart the machine', dict(gpu=gpu(0, error='LIB_RM_VERSION_MISMATCH: x'))),
    (9, 'error 804', 'cuInit', 'fail', 'cuda-compat', dict(cuinit=dict(rc=804))),
    (9, 'error 802', 'cuInit', 'fail', 'nvidia-fabricmanager', dict(cuinit=dict(rc=802))),
    (9, 'error 803', 'cuInit', 'fail', 'two versions', dict(cuinit=dict(rc=803))),
    (10, 'nvidia-ml-py newer than the driver', 'NVML', 'warn', 'nvidia-ml-py', dict(gpu=gpu(0, error='FUNCTION_NOT_FOUND: x'))),
    (11, 'uncorrected ECC errors', 'memory errors', 'fail', 'nvidia-smi -r', dict(gpu=gpu(ecc=True, ecc_uncorrected=2))),
    (11, 'row remapping failed', 'memory errors', 'fail', 'RMA', dict(gpu=gpu(ecc=True, remapped_failure=True))),
    (11, 'a row waits to be remapped', 'memory errors', 'warn', 'reset', dict(gpu=gpu(ecc=True, remapped_pending=True))),
    (11, 'Xid 79', 'memory errors', 'fail', 'Restart the machine', dict(gpu=gpu(), kernel_log=dict(xids=[79]))),
    (11, 'card fell off the bus', 'cards', 'fail', 'Restart the machine',
    dict(gpu=gpu(error='GPU_IS_LOST') | dict(devices=[dict(index=0, error='GPU_IS_LOST')]))),
    (12, 'slowed by heat', 'speed', 'fail', 'Cool it', under_load(reasons=['hw_thermal_slowdown'], temp_c=92.)),
    (12, 'slowed by the supply', 'speed', 'fail', 'cables', under_load(reasons=['hw_power_brake_slowdown'])),
    (12, 'a power cap below the card\'s own', 'speed', 'warn', 'POWER', under_load(reasons=['sw_power_cap'], power_w=150.,
    power_limit_w=400.)),
    (12, 'a power limit below the maker\'s', 'GPU modes', 'warn', '-pl 400',
    dict(gpu=gpu(power_limit_w=250., power_default_w=400.))),
    (13, 'x8 link', 'bandwidth', 'warn', 'slot', linked(pcie_width=8)),
    (13, 'x4 link', 'bandwidth', 'fail', 'slot', linked(pcie_width=4)),
    (13, 'generation 3 of 4', 'bandwidth', 'warn', 'slot', linked(pcie_gen=3)),
    (14, 'NCCL hangs on P2P', 'collectives', 'fail', 'NCCL_P2P_DISABLE=1',
        dict(collective=dict(backend='nccl', error='no answer within 30 s', without_p2p=True))),
    (14, 'P2P refused and the IOMMU on', 'GPU links', 'warn', 'iommu=pt',
        dict(gpu=gpu(2, p2p=['self', 'chipset']), host=dict(iommu=dict(groups=40, options=[])))),
    (15, 'Docker\'s 64 MB of shared memory', 'shared memory', 'fail', '--shm-size=8g',
    dict(host=dict(shm=dict(total_gb=.0625, free_gb=.0625)))),
    (15, 'the same in Kubernetes', 'shared memory', 'fail', 'medium: Memory',
        dict(host=dict(shm=dict(total_gb=.0625), context=dict(kubernetes=True)))),
    (16, 'few open files', 'limits', 'warn', 'ulimit -n', dict(host=dict(limits=dict(nofile=[1024, 4096])))),
    (17, 'CPU quota below cpu_count', 'processors', 'warn', 'num_workers <= 2', dict(host=dict(cpu=dict(cores=2, logical=64)))),
    (18, 'threads times processes', 'threads', 'fail', 'torch.set_num_threads(2)',
        dict(host=dict(cpu=dict(cores=16, affinity=16), env=dict(LOCAL_WORLD_SIZE='8')))),
    (19, 'busy machine', 'contention', 'fail', 'who computes', dict(host=dict(load=dict(load1=30.), cpu=dict(logical=2)))),
    (19, 'stolen time', 'contention', 'warn', 'who computes', dict(host=dict(load=dict(load1=.1, ticks=1000, steal=90),
    cpu=dict(logical=2)))),
    (19, 'tasks wait', 'contention', 'fail', 'who computes', dict(host=dict(load=dict(load1=1.),
    pressure=dict(cpu=dict(avg10=98.))))),
    (20, 'slow disk', 'bandwidth', 'fail', 'local SSD', dict(works=dict(bandwidth=dict(disk=dict(read=5., write=9.))))),
    (20, 'data on NFS', 'disks', 'warn', 'local SSD', dict(host=dict(disks=[dict(use='work', fs='nfs4', free_gb=900.)]))),
    (21, 'pip of another environment', 'interpreter', 'warn', '%pip', dict(software=dict(executable='/e/bin/python', prefix='/e',
    which=dict(pip='/usr/bin/pip')))),
    (22, 'fragmented memory', 'GPU memory', 'warn', 'expandable_segments:True',
        dict(gpu=gpu(), session=dict(memory=[dict(reserved=2**35, allocated=2**34, retries=2)]))),
    (23, 'another\'s program holds the card', 'GPU memory', 'warn', 'mlkit gpus',
        dict(gpu=gpu(used_gb=20., processes=[dict(pid=4711, used_gb=19., user='ada')]))),
    (23, 'memory of a program that is gone', 'GPU memory', 'warn', 'fuser', dict(gpu=gpu(used_gb=20.))),
    (24, 'persistence off', 'GPU modes', 'warn', 'nvidia-smi -pm 1', dict(gpu=gpu(persistence=False))),
    (24, 'MIG on without slices', 'GPU modes', 'fail', '-mig 0', dict(gpu=gpu(mig=True))),
    (24, 'compute mode exclusive', 'GPU modes', 'warn', '-c 0', dict(gpu=gpu(compute_mode='exclusive_process'))),
    (25, 'MPS not available', 'operations', 'fail', 'macOS', dict(gpu=dict(devices=[dict(index=0, name='Apple M3',
    vendor='apple')]), works=dict(
        torch_says=dict(accelerators=[], mps_built=True), operations=dict(found=[dict(device='cpu', dtype='float32', off=0.)])))),
    (25, 'Python under Rosetta', 'torch build', 'fail', 'arm64', dict(gpu=dict(devices=[dict(index=0, name='Apple M3',
    vendor='apple')]),
        software=torch(None), host=dict(os=dict(machine='x86_64')))),
    (25, 'an operation that MPS lacks', 'operations', 'warn', 'PYTORCH_ENABLE_MPS_FALLBACK', dict(works=dict(operations=dict(found=[
        dict(device='mps', dtype='bfloat16', error="NotImplementedError: 'x' is not currently implemented for the MPS device")])))),
    (26, 'no permission for /dev/kfd', 'device files', 'fail', 'usermod -aG render,video',
    dict(host=dict(nodes=[dict(path='/dev/kfd', usable=False)]))),
    (26, 'card that the ROCm build leaves out', 'architectures', 'fail', 'HSA_OVERRIDE_GFX_VERSION',
    dict(software=torch(None, hip='6.4'),
        gpu=dict(devices=[dict(index=0, vendor='amd', arch='gfx1151')]), works=dict(torch_says=dict(archs=['gfx942', 'gfx1100'])))),
    (26, 'CUDA build on an AMD box', 'torch build', 'fail', 'ROCm', dict(software=torch(), gpu=dict(devices=[dict(index=0,
    vendor='amd')]))),
    (27, 'Intel GPU without XPU build', 'torch build', 'warn', 'XPU', dict(software=torch(None),
    host=dict(modules=dict(loaded=['xe'])))),
    (27, 'TPU without torch_xla', 'torch build', 'warn', 'torch_xla', dict(software=torch(None),
    host=dict(env=dict(PJRT_DEVICE='TPU')))),
    (28, 'debug variables left on', 'debug variables', 'warn', 'unset CUDA_LAUNCH_BLOCKING',
    dict(host=dict(env=dict(CUDA_LAUNCH_BLOCKING='1')))),
    (28, 'anomaly mode left on', 'debug variables', 'warn', 'Unset', dict(host=dict(env={}), session=dict(anomaly=True))),
    (29, 'memory limit of a container', 'memory', 'warn', 'OOM killer', dict(host=dict(memory=dict(total_gb=64., limit_gb=8.,
    limit_used_gb=1.)))),
    (30, 'memlock with RDMA', 'limits', 'warn', 'ulimit -l unlimited',
        dict(host=dict(limits=dict(nofile=[65536, None], memlock=[8*2**20, None]), modules=dict(loaded=['nvidia_peermem'])))),
]

def told(r, words): return words in f'{r.remedy} {r.command} {r.expected}'

@pytest.mark.parametrize('case', SCRIPTED, ids=lambda c: f'{c[0]}-{c[1]}')
def test_made_up(case):
    "Detected by the check that is for it, with a remedy that says the right thing and a place to read on."
    _, _, name, status, words, facts = case
    r = trial(name, **facts)
    assert r.status == status and told(r, words), r
    assert r.remedy and r.doc.startswith('https://') and r.value, r

def test_all_thirty_are_here():
    assert {c[0] for c in SCRIPTED} == set(range(1, 31)) and len(OURS) == 30
    assert len({c[2] for c in SCRIPTED}) >= 20

@pytest.mark.parametrize('c', OURS, ids=lambda c: c.name)
def test_a_healthy_machine_is_left_alone(c):
    "What cries wolf isn't read: a good machine gets neither red nor yellow, GPU idle and all."
    idle = dict(reasons=['gpu_idle'], pcie_gen=1, pcie_gen_max=4, pcie_width=16, pcie_width_max=16, clock_mhz=210.,
        clock_max_mhz=1410.)
    modes = dict(nvlinks=12, persistence=True, compute_mode='default', mig=False, ecc=True, ecc_uncorrected=0, power_limit_w=400.,
        power_default_w=400.)
    host = dict(pci=PCI*2, nodes=NODES, os=dict(system='Linux', release='6.8.0', machine='x86_64', distribution='Ubuntu 24.04'),
        context={},
        cpu=dict(cores=32, logical=32, affinity=32), memory=dict(total_gb=256., available_gb=200.),
        shm=dict(total_gb=128., free_gb=127.),
        limits=dict(nofile=[65536, None], memlock=[8*2**20, None]), disks=[dict(use='work', fs='ext4', free_gb=900.,
        inodes_percent=3.)], env={},
        load=dict(load1=1., ticks=10**6, steal=10), pressure=dict(cpu=dict(avg10=1.)),
        modules=dict(nvidia='580.65.06', loaded=['nvidia']), iommu={})
    here = dict(torch('13.0'), prefix='/e', executable='/e/bin/python', which=dict(pip='/e/bin/pip'),
        kernels=[dict(python='/e/bin/python')])
    works = under_load(reasons=['sw_power_cap'], power_w=395., power_limit_w=400.)['works'] | linked()['works'] | dict(
        torch_says=dict(accelerators=['cuda:0', 'cuda:1']), operations=dict(found=[dict(device='cuda:0', dtype='float32',
        off=1e-5)]))
    r = trial(c.name, host=host, software=here, gpu=gpu(2, **idle, **modes), works=works, compiled=dict(right=True),
        requirements=[],
        collective=dict(backend='nccl', right=True, ms=.2), cuinit=dict(rc=0, count=2), loader=dict(wait=.01),
        kernel_log=dict(xids=[]), session={})
    assert r.status == 'ok', r

# ---- real machines, as far as this one lets us

def run(code, *args, **env):
    "What a script prints, as JSON."
    p = subprocess.run([*args, sys.executable, '-c', code], capture_output=True, text=True, env=clean_env(**env), timeout=120)
    assert not p.returncode, p.stderr
    return json.loads(p.stdout)

ASK = 'import json\nfrom mlkit.compute.doctor import CHECKS, Context, judge, load_checks\nload_checks()\n' \
    'r = judge(CHECKS[{!r}], Context(env={{}}))\nprint(json.dumps([r.status, r.value, r.remedy, r.command]))'

def test_real_cpu_wheel():
    "This environment's torch is a CPU build, read without importing it; with a card on the bus that is red."
    code = f'import json, sys\nfrom mlkit.compute.doctor import CHECKS, Context, judge, load_checks\nload_checks()\n' \
        f'from mlkit.core.devices import Scripted\nctx = Context(Scripted([{CARD!r}], driver="570.26"), env={{}})\n' \
        'r = judge(CHECKS["torch build"], ctx)\n' \
        'print(json.dumps([r.status, r.value, r.command, ctx.get("software.torch.cuda"), "torch" in sys.modules]))'
    status, value, command, cuda, imported = run(code)
    if cuda: pytest.skip('torch is a CUDA build here')
    assert status == 'fail' and 'CPU build' in value and command.endswith('whl/cu128') and not imported

def can(*argv): return subprocess.run(argv, capture_output=True).returncode == 0

@pytest.mark.skipif(sys.platform != 'linux', reason='mounts of Linux')
def test_real_small_shm():
    "64 MB of tmpfs at /dev/shm, in a mount namespace of its own."
    wrap = 'unshare', '--mount', 'sh', '-c', 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"', '-'
    if not can(*wrap, 'true'): pytest.skip('mounting is not allowed here')
    status, value, remedy, command = run(ASK.format('shared memory'), *wrap)
    assert (status, value) == ('fail', '0.06 GB') and '--shm-size' in remedy + command

@pytest.fixture
def group():
    "A control group of one's own, of version 1 or 2, that grants half a core."
    old, new = Path('/sys/fs/cgroup/cpu'), Path('/sys/fs/cgroup')
    top = (old if old.is_dir() else new)/f'mlkit-test-{os.getpid()}'
    try:
        top.mkdir()
        files = {'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '50000'} if old.is_dir() else {'cpu.max': '50000 100000'}
        for name, v in files.items(): (top/name).write_text(v)
    except OSError as e:
        if top.is_dir(): top.rmdir()
        pytest.skip(f'control groups are not ours to make: {e}')
    yield top
    top.rmdir()

def test_real_cpu_quota(group):
    "A quota of half a core, which os.cpu_count() doesn't know."
    join = 'sh', '-c', f'echo $$ > {group}/cgroup.procs && exec "$@"', '-'
    status, value, remedy, command = run(ASK.format('processors'), *join)
    assert status == 'fail' and value.startswith('0.5 of') and 'OMP_NUM_THREADS=1' in command

@pytest.mark.skipif(os.name != 'posix', reason='ulimit')
def test_real_few_open_files():
    wrap = 'sh', '-c', 'ulimit -n 256 && exec "$@"', '-'
    status, value, _, command = run(ASK.format('limits'), *wrap)
    assert (status, value, command) == ('fail', '256 open files', 'ulimit -n 65536')

def kernel(home, name, python):
    folder = home/'.local/share/jupyter/kernels'/name
    folder.mkdir(parents=True)
    (folder/'kernel.json').write_text(json.dumps(dict(argv=[str(python), '-m', 'ipykernel_launcher', '-f', '{connection_file}'])))

@pytest.mark.skipif(os.name != 'posix', reason='scripts with a shebang')
def test_real_kernels_and_pip(tmp_path, monkeypatch):
    "A kernel of another environment and a pip of a third, as files."
    pip, other = tmp_path/'third/bin/pip', tmp_path/'other/bin/python'
    for path in (pip, other):
        path.parent.mkdir(parents=True)
        path.write_text(f'#!{path.parent}/python\n')
        path.chmod(0o755)
    kernel(tmp_path, 'other', other)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path/'mine'))
    def ask():
        return judge(CHECKS['interpreter'], Context(NoDevices(), env=dict(HOME=str(tmp_path), PATH=str(pip.parent))))
    r = ask()
    assert r.status == 'fail' and 'three environments' in r.value and '%pip' in r.remedy and r.remedy.count('kernel') >= 1
    kernel(tmp_path, 'mine', tmp_path/'mine/bin/python')
    (tmp_path/'mine/bin').mkdir(parents=True)
    (tmp_path/'mine/bin/python').write_text('')
    assert ask().status == 'warn'                                           # now only pip is elsewhere
    other.unlink()
    r = ask()
    assert r.status == 'fail' and 'is gone' in r.value and 'ipykernel install' in r.command

def test_real_functions_missing():
    "A driver older than nvidia-ml-py: what it doesn't know is n.a., and every check has an answer."
    class NotFound(Exception): value = 13
    def missing(*args): raise NotFound('Function Not Found')
    lib = types.SimpleNamespace(NVML_ERROR_FUNCTION_NOT_FOUND=13, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetName=lambda h: 'Tesla V100-SXM2-16GB',
        nvmlSystemGetDriverVersion=lambda: '418.87.00')
    class Lib(types.SimpleNamespace):
        def __getattr__(self, name):
            if name.startswith('nvml'): return missing
            raise AttributeError(name)
    ctx = Context(Nvml(Lib(**vars(lib))), env={}, facts=dict(host={}, software=torch()))
    found = [judge(c, ctx) for c in OURS if c.level == 'quick']
    assert ctx.devices[0].name == 'Tesla V100-SXM2-16GB' and [r for r in found if r.status == 'crash'] == []
    assert {r.name: r.status for r in found}['NVML'] == 'ok'

@pytest.mark.skipif(sys.platform != 'linux', reason='a library made by gcc')
def test_real_cuinit(tmp_path):
    "`cuInit` through real ctypes: a library that answers 804."
    (tmp_path/'cuda.c').write_text('int cuInit(unsigned f) { return 804; } int cuDriverGetVersion(int *v) { *v = 12040; return 0; }\n'
        'int cuDeviceGetCount(int *n) { *n = 0; return 0; }')
    if not can('gcc', '-shared', '-fPIC', '-o', str(tmp_path/'libcuda.so.1'), str(tmp_path/'cuda.c')): pytest.skip('no compiler')
    ctx = Context(Scripted([CARD]), env=dict(os.environ, LD_LIBRARY_PATH=str(tmp_path)))
    r = judge(CHECKS['cuInit'], ctx)
    assert ctx['cuinit'] == dict(rc=804, count=0, version=12040) and r.status == 'fail' and 'cuda-compat' in r.remedy

def test_real_xids(tmp_path):
    "The kernel log as a file: which Xids it has."
    (tmp_path/'dev').mkdir()
    (tmp_path/'dev/kmsg').write_text('6,1,2,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus.\n6,1,2,-;other\n'
        '6,1,3,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=7, MMU Fault\n')
    ctx = Context(Scripted([CARD]), root=str(tmp_path), env={})
    assert ctx['kernel_log'] == dict(xids=[79, 31]) and judge(CHECKS['memory errors'], ctx).status == 'fail'

def test_real_debug_variables():
    code = ASK.replace('env={{}}', '').format('debug variables')
    status, value, _, command = run(code, CUDA_LAUNCH_BLOCKING='1', TORCH_DISTRIBUTED_DEBUG='DETAIL')
    assert status == 'warn' and command == 'unset CUDA_LAUNCH_BLOCKING TORCH_DISTRIBUTED_DEBUG'

def test_real_collective_that_hangs(monkeypatch):
    "A rank that never comes: time is up, and nothing of it is left behind."
    from mlkit.compute import probes
    monkeypatch.setattr(probes, '_RANK', 'import time, os; open(os.environ["PIDS"], "a").write(f"{os.getpid()} "); time.sleep(600)')
    import tempfile
    with tempfile.NamedTemporaryFile('r') as f:
        found = probes.collective(limit=3, env=dict(os.environ, PIDS=f.name))
        pids = [int(o) for o in f.read().split()]
    r = trial('collectives', collective=found)
    assert r.status == 'fail' and 'no answer within 3 s' in r.value and r.remedy and pids
    def alive(pid):
        try: return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
        except OSError: return False
    import time
    end = time.monotonic() + 30                          # a loaded machine takes a moment to end them
    while sys.platform == 'linux' and any(map(alive, pids)):
        assert time.monotonic() < end, 'a rank was left behind'
        time.sleep(.05)

def test_real_probe_that_crashes():
    "A probe that takes its process along is a finding; those that ran before have their answer."
    from mlkit.compute.probes import child
    out, why = child("print('{\"a\": 1}', flush=True); import ctypes; ctypes.string_at(0)", 30)
    assert out == '{"a": 1}\n' and why.startswith('it ended with -11') and ctypes

def test_real_full(tmp_path):
    "The full doctor on this machine: torch computes, two ranks meet, and what needs a GPU says so."
    r = doctor('full', context=Context(NoDevices('none'), env=dict(os.environ)), store=tmp_path)
    found = {o.name: o for o in r}
    assert [o for o in r if o.status == 'crash'] == []
    assert found['operations'].status == 'ok' and 'cpu' in found['operations'].value
    assert found['torch.compile'].status in ('ok', 'warn') and found['collectives'].status in ('ok', 'warn'), found['collectives']
    assert found['data loader'].status == 'na'

# ---- facts that make no sense

json_like = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda o: st.lists(o, max_size=3) | st.dictionaries(st.text(max_size=6), o, max_size=3), max_leaves=8)

def merged(a, b):
    return {k: merged(a[k], b[k]) if isinstance(a.get(k), dict) and isinstance(b.get(k), dict) else b.get(k, a.get(k))
        for k in {**a, **b}}

EVERYTHING = {}
for _case in SCRIPTED: EVERYTHING = merged(EVERYTHING, json.loads(json.dumps(_case[5])))

def spoilt(o, draw, odds):
    "A copy of `o` with something else in a few places."
    if draw(st.integers(0, odds)) == 0: return draw(json_like)
    if isinstance(o, dict): return {k: spoilt(v, draw, odds) for k, v in o.items()}
    return [spoilt(v, draw, odds) for v in o] if isinstance(o, list) else o

@settings(max_examples=150, deadline=None)
@given(st.data())
def test_hostile_facts(data):
    "Whatever stands in a file of facts, each check answers, and each red or yellow one says what to do and where to read on."
    facts = spoilt(EVERYTHING, data.draw, data.draw(st.sampled_from([5, 15, 40])))
    facts = facts if isinstance(facts, dict) else {}
    ctx = Context(facts=facts, live=False, env={})
    for c in OURS:
        r = judge(c, ctx)
        assert r.status != 'crash', (r, facts)
        assert r.status in ('ok', 'na') or (r.remedy and r.doc), r

@settings(max_examples=100, deadline=None)
@given(st.sampled_from(OURS), st.dictionaries(st.sampled_from(['host', 'gpu', 'software', 'works', 'compiled', 'collective',
    'session',
    'cuinit', 'loader', 'kernel_log', 'requirements']), json_like))
def test_facts_of_any_shape(c, facts):
    r = judge(c, Context(facts=facts, live=False, env={}))
    assert r.status != 'crash', (r, facts)

@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_kernel_log_of_any_bytes(data):
    import tempfile
    with tempfile.TemporaryDirectory() as d:
        (Path(d)/'dev').mkdir()
        (Path(d)/'dev/kmsg').write_bytes(data)
        assert isinstance(Context(NoDevices(), root=d, env={})['kernel_log'].get('xids'), list)

# ---- what may be run

def test_commands_that_fix_may_run():
    "`fix` runs a command as it stands, so only those that need no one's decision: a kernel spec, and persistence for root."
    found = [trial(name, **facts) for _, _, name, _, _, facts in SCRIPTED]
    assert [r.command for r in found if r.runs] == []
    r = trial('GPU modes', gpu=gpu(persistence=False), host=dict(user=dict(uid=0)))
    assert r.runs and r.command == 'nvidia-smi -pm 1'
    assert not [r for r in found if r.runs and re.search(r'[A-Z]{4,}|\.\.\.|<', r.command)]

def test_paths_in_commands_are_quoted():
    "An interpreter in a folder with a blank, or worse, is one word for the shell."
    import shlex
    py = "/home/a b/$(touch x)/bin/python"
    soft = dict(executable=py, prefix="/home/a b/$(touch x)", kernels=[dict(python='/usr/bin/python')],
        packages=dict(ipykernel='7'))
    r = trial('interpreter', software=soft)
    assert shlex.split(r.command)[0] == py and r.runs and re.fullmatch(r'[\w.-]+', shlex.split(r.command)[-1])
    r = trial('torch build', software=dict(soft, torch=dict(version='2.9.0')), host=dict(pci=PCI))
    assert shlex.split(r.command)[0] == py

def test_worst_does_not_change_the_parts():
    "The parts of a verdict stay as they were: a check may use them again."
    from mlkit.compute.doctor import fail, ok, warn
    from mlkit.compute.host_checks import worst
    parts = [warn('a', remedy='A.'), fail('b', remedy='B.')]
    kept = [replace(o) for o in parts]
    worst(parts, ok())
    assert parts == kept

if __name__ == '__main__':
    REAL = {1: 'the CPU wheel of this environment', 9: 'a libcuda.so.1 compiled here', 10: 'NVML without its newer functions',
        11: 'a kernel log',
        14: 'a rank that never comes', 15: 'a tmpfs of 64 MB', 16: 'ulimit -n 256', 17: 'a control group of half a core',
        21: 'kernel specs and scripts on disk', 28: 'real variables'}
    print(f"{'#':>2}  {'failure':42} {'check':18} {'verdict':7}  made by")
    for n, what, name, _, words, facts in SCRIPTED:
        r = trial(name, **facts)
        good = r.status in ('warn', 'fail') and told(r, words)
        print(f"{n:2}  {what:42} {name:18} {r.status if good else 'MISSED':7}  facts{f', and {REAL[n]}' if n in REAL else ''}")
