"Readings of machines that we don't have: containers of both kinds, and what a run notes down of its machine."
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlkit.core import hardware as hw
from mlkit.core.devices import gpu_names
from mlkit.core.hardware import GB, cpu, cpu_seconds, disk_io, memory, net_io

linux = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')


@pytest.fixture
def machine(tmp_path):
    "A made-up machine: `put(path, text)` writes one of its kernel files; its root."
    def put(path, text):
        (tmp_path/path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/path).write_text(text)
        return str(tmp_path)
    put('proc/meminfo', f'MemTotal: {64*2**20} kB\nMemFree: 1 kB\nMemAvailable: {48*2**20} kB\n')
    put('proc/self/statm', '9000 1024 100 0 0 0 0')
    return put


def test_every_reading_survives_an_empty_machine(tmp_path):
    "No file at all: no error, and no invented value."
    r = str(tmp_path)
    assert cpu(r)['cores'] >= 1 and cpu(r)['name']
    assert memory(r)['total_gb'] >= 0
    if sys.platform == 'linux': assert disk_io(r) == {} and net_io(r) == {}


@pytest.mark.parametrize('text', ['', '\n', 'garbage', ':::', '0::', 'a:b', '\0'])
def test_garbled_group_list(machine, text):
    "A list of groups that doesn't read as expected limits nothing."
    root = machine('proc/self/cgroup', text)
    assert cpu(root)['cores'] >= 1 and memory(root)['total_gb'] == 64


def test_container_of_the_new_kind(machine):
    "cgroup v2: the tightest group around us counts, and the file cache is not counted as used."
    machine('proc/self/cgroup', '0::/job/step\n')
    machine('sys/fs/cgroup/job/step/cpu.max', 'max 100000\n')
    machine('sys/fs/cgroup/job/cpu.max', '50000 100000\n')
    machine('sys/fs/cgroup/job/memory.max', f'{8*GB}\n')
    machine('sys/fs/cgroup/memory.max', f'{32*GB}\n')
    machine('sys/fs/cgroup/job/memory.current', f'{5*GB}\n')
    root = machine('sys/fs/cgroup/job/memory.stat', f'anon 1\ninactive_file {2*GB}\nactive_file 7\n')
    assert cpu(root)['cores'] == 0.5
    m = memory(root)
    assert (m['total_gb'], m['used_gb']) == (8, 3)


def test_container_of_the_old_kind(machine):
    "cgroup v1 has a tree for each kind of limit, other names, and writes 'no limit' as -1 and as 2**63."
    machine('proc/self/cgroup', '9:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n')
    machine('sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us', '-1\n')
    machine('sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us', '100000\n')
    root = machine('sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes', f'{2**63 - 4096}\n')
    assert memory(root)['total_gb'] == 64
    full = cpu(root)['cores']
    machine('sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us', '25000\n')
    machine('sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us', '100000\n')
    machine('sys/fs/cgroup/cpu,cpuacct/docker/x/cpuacct.usage', '2500000000\n')
    machine('sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes', f'{4*GB}\n')
    machine('sys/fs/cgroup/memory/docker/x/memory.usage_in_bytes', f'{3*GB}\n')
    machine('sys/fs/cgroup/memory/docker/x/memory.stat', f'inactive_file 5\ntotal_inactive_file {GB}\n')
    assert full >= 1 and cpu(root)['cores'] == 0.25 and cpu_seconds(root) == 2.5
    assert (memory(root)['total_gb'], memory(root)['used_gb']) == (4, 2)


def test_each_byte_counts_once(machine):
    "Partitions, loops and volumes are no disks; bridges and loopback no network, unless there is nothing else."
    rows = ['8 0 sda', '8 1 sda1', '253 0 dm-0', '7 0 loop0', '259 0 nvme0n1']
    machine('proc/diskstats', ''.join(f'{r} 1 0 10 0 1 0 20 0 0 0 0\n' for r in rows))
    for d in ('sda', 'nvme0n1'): machine(f'sys/block/{d}/device/x', '')
    machine('sys/block/dm-0/x', '')
    net = 'head |\n head |\n' + ''.join(f'{n}: {r} 0 0 0 0 0 0 0 {s} 0 0 0 0 0 0 0\n' for n, r, s in
        (('lo', 9, 9), ('eth0', 100, 10), ('docker0', 100, 10), ('eth1', 1, 2)))
    root = machine('proc/net/dev', net)
    assert disk_io(root) == dict(read=20*512, written=40*512)
    assert net_io(root) == dict(received=201, sent=22)
    for n in ('eth0', 'eth1'): machine(f'sys/class/net/{n}/device/x', '')
    assert net_io(root) == dict(received=101, sent=12)


@linux
def test_own_numbers():
    "The real machine: this process's memory grows by what it takes, and its processor time by what it burns."
    before, c = memory()['process_gb'], cpu_seconds()
    block = b'x'*(64 << 20)
    assert memory()['process_gb'] - before > 0.05 and len(block)
    end = time.process_time() + .2
    while time.process_time() < end: pass
    assert cpu_seconds() - c > .1


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='needs affinity')
def test_affinity_counts():
    "A process that may use one core has one."
    code = 'import os\nfrom mlkit.core.hardware import cpu\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n' \
        'print(cpu()["cores"])'
    p = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert float(p.stdout) <= 1, p.stderr


# ---- GPUs (their many ways to fail are in test_devices.py)

@pytest.fixture
def cards(monkeypatch, tmp_path):
    "Two made-up cards; the second keeps its utilisation to itself, as a slice does."
    both = [dict(index=0, name='NVIDIA H200', memory_gb=141, used_gb=3, util=0, temp_c=0, power_w=75.5), dict(index=1, used_gb=3)]
    (tmp_path/'cards.json').write_text(json.dumps(dict(devices=both)))
    monkeypatch.setenv('MLKIT_DEVICES', str(tmp_path/'cards.json'))


def test_monitor_leaves_out_what_is_unknown(cards):
    "The monitor logs what a card tells, under the card's number."
    from mlkit.track.monitor import SystemMonitor
    s = SystemMonitor().sample()
    assert s['sys/gpu0/util'] == 0 and s['sys/gpu1/memory_gb'] == 3 and 'sys/gpu1/util' not in s
    assert s['sys/gpu0/power_w'] == 75.5 and s['sys/gpu0/temp_c'] == 0


def test_a_run_keeps_its_machine(cards, tmp_path):
    "Without delaying anything, a run notes down what the doctor would ask; a run that measures nothing doesn't."
    import mlkit
    run = mlkit.init('p', store=tmp_path/'store', system=True, code=False, packages=False)
    run.finish()
    noted = json.loads((run.path/'machine.json').read_text())
    assert set(noted) == {'machine', 'host', 'software', 'gpu'} and noted['gpu']['devices'][0]['name'] == 'NVIDIA H200'
    assert run.meta['hardware']['gpus'] == ['NVIDIA H200', 'unknown']
    run = mlkit.init('p', store=tmp_path/'store', system=False, code=False, packages=False)
    run.finish()
    assert not (run.path/'machine.json').exists()


def test_names_without_a_connection(tmp_path, monkeypatch):
    "The driver's text files give the names; no library is loaded for that."
    monkeypatch.delenv('MLKIT_DEVICES', raising=False)
    for i in range(2):
        (tmp_path/f'proc/driver/nvidia/gpus/{i}').mkdir(parents=True)
        (tmp_path/f'proc/driver/nvidia/gpus/{i}/information').write_text('Model: \t NVIDIA A100\nIRQ: 5\n')
    assert gpu_names(str(tmp_path)) == ['NVIDIA A100']*2


@linux
def test_no_driver_no_library():
    "Where no driver is loaded, NVML isn't even imported, and psutil not on Linux."
    if any(map(os.path.exists, ('/proc/driver/nvidia/version', '/dev/nvidiactl'))): pytest.skip('there is a driver')
    code = 'import sys\nfrom mlkit.core.hardware import *\nfrom mlkit.core.devices import *\n' \
        'provider().devices(), gpu_names(), cpu(), memory(), disk_io(), net_io(), cpu_seconds()\n' \
        'print(sorted({"pynvml", "psutil"} & set(sys.modules)))'
    p = subprocess.run([sys.executable, '-c', code], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    assert p.stdout.strip() == '[]', p.stderr


def test_psutil_answers_elsewhere(monkeypatch, tmp_path):
    "Where there is no /proc, psutil's answers are used."
    pytest.importorskip('psutil')
    monkeypatch.setattr(hw.sys, 'platform', 'darwin')
    r = str(tmp_path)
    assert memory(r)['total_gb'] > 0 and memory(r)['process_gb'] > 0 and cpu_seconds(r) > 0
    assert set(net_io(r)) in ({'sent', 'received'}, set())
