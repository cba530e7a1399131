"Devices that answer, half answer, lie and vanish: whatever a provider meets, it gives devices or says why there are none."
import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlkit.core.devices import (Device, Mps, NoDevices, Nvml, Process, Rocm, Scripted, SmiXml, gpu_table, parse_smi, provider,
    reason_names, to_device)

ROOT = Path(__file__).parent.parent


# ---- the XML of nine years of drivers

GENERATIONS = [ # driver, CUDA, tag of the reasons, tag of the power readings, names of the limit, power
    ('418.226.00', None, 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('430.64', '10.1', 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('450.80.02', '11.0', 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('470.82.01', '11.4', 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('510.47.03', '11.6', 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('525.60.13', '12.0', 'clocks_throttle', 'power_readings', 'enforced_power_limit', 'power_draw'),
    ('535.54.03', '12.2', 'clocks_event', 'gpu_power_readings', 'current_power_limit', 'power_draw'),
    ('550.54.14', '12.4', 'clocks_event', 'gpu_power_readings', 'current_power_limit', 'average_power_draw'),
    ('580.65.06', '13.0', 'clocks_event', 'gpu_power_readings', 'current_power_limit', 'instant_power_draw'),
    ('595.45.04', '13.2', 'clocks_event', 'gpu_power_readings', 'current_power_limit', 'instant_power_draw')]

def smi_xml(driver='535.54.03', cuda='12.2', reasons='clocks_event', power='gpu_power_readings', limit='current_power_limit',
        draw='power_draw', cards=1, name='NVIDIA A100-SXM4-80GB'):
    "What `nvidia-smi -q -x` of that driver would write: our own text, of the same shape."
    major = int(driver.split('.')[0])
    ecc = '<volatile><double_bit><total>2</total></double_bit></volatile>' if major < 450 else \
        '<volatile><sram_uncorrectable>1</sram_uncorrectable><dram_uncorrectable>1</dram_uncorrectable></volatile>' if major < 535 else \
        '<volatile><sram_uncorrectable_parity>1</sram_uncorrectable_parity><sram_uncorrectable_secded>0' \
        '</sram_uncorrectable_secded><dram_uncorrectable>1</dram_uncorrectable></volatile>'
    retired = 'pending_blacklist' if major < 450 else 'pending_retirement'
    rows = '' if major < 450 else '<remapped_rows><remapped_row_pending>Yes</remapped_row_pending>' \
        '<remapped_row_failure>No</remapped_row_failure></remapped_rows>'
    mig = '' if major < 450 else '<mig_mode><current_mig>Disabled</current_mig></mig_mode><mig_devices>None</mig_devices>'
    card = ''.join(f'''<gpu id="00000000:{16 + i:02X}:00.0"><product_name>{name}</product_name>
<persistence_mode>Enabled</persistence_mode>{mig}<uuid>GPU-{i}</uuid>
<pci><pci_bus_id>00000000:{16 + i:02X}:00.0</pci_bus_id><pci_gpu_link_info><pcie_gen><max_link_gen>4</max_link_gen>
<current_link_gen>1</current_link_gen></pcie_gen><link_widths><max_link_width>16x</max_link_width>
<current_link_width>8x</current_link_width></link_widths></pci_gpu_link_info></pci>
<{reasons}_reasons><{reasons}_reason_gpu_idle>Not Active</{reasons}_reason_gpu_idle>
<{reasons}_reason_sw_power_cap>Active</{reasons}_reason_sw_power_cap>
<{reasons}_reason_hw_thermal_slowdown>Active</{reasons}_reason_hw_thermal_slowdown></{reasons}_reasons>
<fb_memory_usage><total>81920 MiB</total><used>1024 MiB</used><free>80896 MiB</free></fb_memory_usage>
<compute_mode>Exclusive_Process</compute_mode><utilization><gpu_util>97 %</gpu_util><memory_util>N/A</memory_util></utilization>
<ecc_mode><current_ecc>Enabled</current_ecc><pending_ecc>Enabled</pending_ecc></ecc_mode><ecc_errors>{ecc}</ecc_errors>
<retired_pages><{retired}>No</{retired}></retired_pages>{rows}<temperature><gpu_temp>91 C</gpu_temp></temperature>
<{power}><{draw}>250.50 W</{draw}><{limit}>300.00 W</{limit}><default_power_limit>400.00 W</default_power_limit></{power}>
<clocks><graphics_clock>1200 MHz</graphics_clock><sm_clock>1200 MHz</sm_clock><mem_clock>1593 MHz</mem_clock></clocks>
<max_clocks><sm_clock>1410 MHz</sm_clock><mem_clock>1593 MHz</mem_clock></max_clocks>
<processes><process_info><pid>4711</pid><type>C</type><process_name>python</process_name><used_memory>512 MiB</used_memory>
</process_info><process_info><pid>99</pid><type>G</type><process_name>Xorg</process_name><used_memory>9 MiB</used_memory>
</process_info></processes></gpu>''' for i in range(cards))
    version = f'<cuda_version>{cuda}</cuda_version>' if cuda else ''
    return f'''<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><driver_version>{driver}</driver_version>{version}<attached_gpus>{cards}</attached_gpus>{card}</nvidia_smi_log>'''

@pytest.mark.parametrize('generation', GENERATIONS, ids=lambda o: o[0])
def test_generations(generation):
    "Whatever the driver calls things, the same card is the same device."
    text = smi_xml(*generation, cards=2)
    (one, two), driver, cuda, error = parse_smi(text)
    assert (driver, cuda, error) == (*generation[:2], None)
    assert (one.name, one.uuid, two.index, two.bus_id) == ('NVIDIA A100-SXM4-80GB', 'GPU-0', 1, '00000000:11:00.0')
    assert (one.memory_gb, one.used_gb, one.util, one.memory_util, one.temp_c) == (80, 1, 97, None, 91)
    assert (one.power_w, one.power_limit_w, one.power_default_w) == (250.5, 300, 400)
    assert (one.clock_mhz, one.clock_max_mhz, one.memory_clock_mhz) == (1200, 1410, 1593)
    assert one.reasons == ('sw_power_cap', 'hw_thermal_slowdown')
    assert (one.pcie_gen, one.pcie_gen_max, one.pcie_width, one.pcie_width_max) == (1, 4, 8, 16)
    assert (one.ecc, one.ecc_pending, one.ecc_uncorrected, one.retired_pending) == (True, False, 2, False)
    assert (one.persistence, one.compute_mode) == (True, 'exclusive_process')
    assert one.remapped_pending is (True if int(generation[0][:3]) >= 450 else None)
    assert one.mig is (False if int(generation[0][:3]) >= 450 else None)
    assert one.processes == (Process(4711, .5, None, 'python'),)          # a desktop doesn't compute

def test_all_of_it_not_available():
    "A laptop card answers most questions with N/A, in one of its spellings: None, never 0."
    for word in ('N/A', '[N/A]', '[Not Supported]', 'Not Supported', 'Requested functionality has been deprecated', 'Unknown Error', ''):
        text = re.sub(r'>(\d[^<]*|Enabled|Disabled|Active|Not Active|Yes|No)<', f'>{word}<', smi_xml())
        d, = parse_smi(text)[0]
        told = {f.name: v for f in dataclasses.fields(d) if (v := getattr(d, f.name)) is not None}
        assert set(told) <= set('index uuid name vendor bus_id compute_mode processes mig_devices'.split()), (word, told)

def test_slices():
    "A card in slices has them in its `mig_devices`."
    parts = ''.join(f'<mig_device><index>{i}</index><fb_memory_usage><total>{i}024 MiB</total></fb_memory_usage></mig_device>'
        for i in (1, 2))
    d, = parse_smi(smi_xml().replace('Disabled</current_mig>', 'Enabled</current_mig>').replace('None</mig_devices>',
        f'{parts}</mig_devices>'))[0]
    assert d.mig and [o.memory_gb for o in d.mig_devices] == [1, 1.9765625]

@pytest.mark.parametrize('cut', range(0, 4200, 97))
def test_truncated(cut):
    "A file may end anywhere: complete cards are read, and there is a word about the other."
    text = smi_xml(cards=2)[:cut]
    found, _, _, error = parse_smi(text)
    assert len(found) == text.count('</gpu>')
    assert error or not re.search('<gpu [^<]*>(?!.*</gpu>)', text, re.S)

def test_fragment_and_garbage(tmp_path):
    "A fragment without its head is read; what is no XML says so, as does a missing file."
    text = smi_xml()
    d, = SmiXml(text[text.index('<gpu '):text.index('</nvidia_smi_log>')]).devices()
    assert d.temp_c == 91
    for junk in ('', 'NVIDIA-SMI has failed', '<html>', '<gpu id="1">', '\0\1', '<nvidia_smi_log></nvidia_smi_log>'):
        (tmp_path/'junk').write_text(junk)
        p = SmiXml(tmp_path/'junk')
        assert p.devices() == [] and p.error, junk
    assert 'no_such' in SmiXml('no_such').error
    assert SmiXml(b'<gpu>\xff\xfe</gpu>').devices()[0].name is None

@settings(max_examples=200, deadline=None)
@given(st.data())
def test_xml_with_anything_in_it(data):
    "Any text in any place gives devices, and numbers that are numbers."
    text = smi_xml()
    spots = list(re.finditer(r'>([^<>]+)<', text))
    m = spots[data.draw(st.integers(0, len(spots) - 1))]
    junk = data.draw(st.text(max_size=30) | st.sampled_from(['9'*500, '-1', 'nan', 'inf', '1e999', '٣', '<![CDATA[', '&amp;', '&x;']))
    found, *_ = parse_smi(text[:m.start(1)] + junk + text[m.end(1):])
    for d in found:
        numbers = [v for v in vars(d).values() if isinstance(v, float)]
        assert all(map(math.isfinite, numbers))
        gpu_table(found).text()

@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_noise(junk):
    "Noise is no device."
    assert SmiXml(b'<' + junk).devices() == [] or b'<gpu' in junk
    assert isinstance(Rocm(b'{' + junk).devices(), list)


# ---- JSON of rocm-smi

@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), lambda o: st.lists(o, max_size=3) |
    st.dictionaries(st.sampled_from(['card0', 'card1', 'cardx', 'system', 'VRAM Total Memory (B)', 'GPU use (%)', 'Driver version']), o,
        max_size=4), max_leaves=12))
def test_rocm_with_anything_in_it(d):
    "Any JSON gives a list of devices."
    p = Rocm('{"card0": ' + json.dumps(d) + ', "card1": {"GPU use (%)": ' + json.dumps(d) + '}}')
    found = p.devices()
    assert all(o.vendor == 'amd' and (o.util is None or math.isfinite(o.util)) for o in found) and 1 <= len(found) <= 2

def test_rocm_card_numbers():
    "Cards keep their numbers; their order is that of the numbers, not of the text."
    p = Rocm(json.dumps({f'card{i}': {'Card series': f'MI{i}'} for i in (10, 2, 1)}))
    assert [(d.index, d.name) for d in p.devices()] == [(1, 'MI1'), (2, 'MI2'), (10, 'MI10')]

def test_mps():
    "Elsewhere there is none; an Apple chip that says nothing is none either."
    assert Mps().devices() == [] or sys.platform == 'darwin'
    def broken(key): raise RuntimeError('sysctl is not on the PATH')
    p = Mps(broken)
    assert p.devices() == [] and 'sysctl' in p.error


# ---- NVML, by a stand-in for its Python module

class NVMLError(Exception):
    def __init__(self, value): super().__init__(f'error {value}'); self.value = value

CODES = dict(UNINITIALIZED=1, NOT_SUPPORTED=3, NO_PERMISSION=4, DRIVER_NOT_LOADED=9, LIBRARY_NOT_FOUND=12, FUNCTION_NOT_FOUND=13,
    GPU_IS_LOST=15, LIB_RM_VERSION_MISMATCH=18, UNKNOWN=999)

def fake_nvml(cards, **more):
    "A module of functions that answer what `cards` say, or raise it."
    ns = types.SimpleNamespace
    m = ns(**{f'NVML_ERROR_{k}': v for k, v in CODES.items()}, nvmlMemory_v2=2,
        nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlSystemGetDriverVersion=lambda: '550.54.14',
        nvmlSystemGetCudaDriverVersion_v2=lambda: 12040)
    def get(what):
        def fn(h, *args):
            v = cards[h].get((what, *args), cards[h].get(what, NVMLError(3)))
            if isinstance(v, Exception): raise v
            return v
        return fn
    for name in {k if isinstance(k, str) else k[0] for c in cards for k in c}: setattr(m, f'nvmlDeviceGet{name}', get(name))
    for k, v in more.items(): setattr(m, k, v)
    return m

def full(**kw):
    ns = types.SimpleNamespace
    return dict(dict(Name=b'NVIDIA A100-SXM4-40GB', UUID='GPU-1', MemoryInfo=ns(total=40*2**30, used=2**30), Temperature=0,
        UtilizationRates=ns(gpu=0, memory=0), PowerUsage=52_500, EnforcedPowerLimit=400_000, CudaComputeCapability=(8, 0),
        CurrentClocksEventReasons=0x44, EccMode=[1, 0], RemappedRows=[0, 0, 1, 0], MigMode=[0, 0], PersistenceMode=0, ComputeMode=3,
        PciInfo=ns(busId=b'00000000:3B:00.0'), ComputeRunningProcesses=[ns(pid=1, usedGpuMemory=None)]), **kw)

def raiser(code):
    def fn(*_): raise NVMLError(code)
    return fn

def test_nvml_answers():
    "All values arrive in their units; a zero is a zero."
    d, = Nvml(fake_nvml([full()])).devices()
    assert (d.name, d.capability, d.memory_gb, d.used_gb, d.util, d.temp_c) == ('NVIDIA A100-SXM4-40GB', (8, 0), 40, 1, 0, 0)
    assert (d.power_w, d.power_limit_w, d.reasons) == (52.5, 400, ('sw_power_cap', 'hw_thermal_slowdown'))
    assert (d.ecc, d.ecc_pending, d.remapped_pending, d.mig, d.persistence, d.compute_mode) == \
        (True, True, True, False, False, 'exclusive_process')
    assert d.bus_id == '00000000:3B:00.0' and d.processes[0].pid == 1 and d.processes[0].used_gb is None
    assert d.clock_mhz is None and d.nvlinks is None and d.error is None

def test_both_names_of_the_reasons():
    "Drivers before 535 know only the old name; of a driver that knows both, the new one is asked."
    old = full(CurrentClocksThrottleReasons=0x8)
    assert Nvml(fake_nvml([old])).devices()[0].reasons == ('sw_power_cap', 'hw_thermal_slowdown')
    old['CurrentClocksEventReasons'] = NVMLError(13)
    assert Nvml(fake_nvml([old])).devices()[0].reasons == ('hw_slowdown',)
    del old['CurrentClocksEventReasons']
    assert Nvml(fake_nvml([old])).devices()[0].reasons == ('hw_slowdown',)

def test_old_memory_question():
    "A driver without the second version of the question is asked the first."
    new = types.SimpleNamespace(total=2**30, used=0)
    card = {('MemoryInfo', 2): NVMLError(13), 'MemoryInfo': new}
    assert Nvml(fake_nvml([card])).devices()[0].memory_gb == 1

@pytest.mark.parametrize('code', sorted(CODES.values()))
@pytest.mark.parametrize('name', sorted(full()))
def test_any_question_may_fail(name, code):
    "One question that fails costs its own answer only."
    d, = Nvml(fake_nvml([full(**{name: NVMLError(code)})])).devices()
    assert (d.memory_gb is None) is (name == 'MemoryInfo') and (d.power_w is None) is (name == 'PowerUsage')

@pytest.mark.parametrize('name, code', [(o, c) for o in ('nvmlInit', 'nvmlDeviceGetCount') for c in (9, 12, 18, 999)])
def test_a_driver_that_fails(name, code):
    "No devices, and NVML's name of the reason first, for which the doctor has a remedy."
    p = Nvml(fake_nvml([full()], **{name: raiser(code)}))
    assert p.devices() == []
    assert p.error.split(':')[0] == next(k for k, v in CODES.items() if v == code)

def test_lost_card():
    "A card off the bus keeps its place, tells nothing, and says why; its neighbour is unharmed."
    lost = dict.fromkeys(full(), NVMLError(15))
    one, two = Nvml(fake_nvml([lost, full()])).devices()
    assert one == Device(0, error='GPU_IS_LOST') and two.memory_gb == 40 and two.error is None
    def handle(i):
        if i == 0: raise NVMLError(15)
        return i
    one, two = Nvml(fake_nvml([full(), full()], nvmlDeviceGetHandleByIndex=handle)).devices()
    assert one == Device(0, error='GPU_IS_LOST') and two.memory_gb == 40

def test_driver_goes_and_comes_back():
    "During an update the driver doesn't answer; afterwards it does, without a new process."
    m = fake_nvml([full()])
    p = Nvml(m)
    assert len(p.devices()) == 1
    m.nvmlDeviceGetCount = raiser(1)
    assert p.devices() == [] and p.error
    m.nvmlDeviceGetCount = lambda: 1
    assert len(p.devices()) == 1 and p.error is None

def test_slices_of_a_card():
    "A card with MIG on lists its slices."
    card = full(MigMode=[1, 1], MaxMigDeviceCount=7)
    part = dict(Name='MIG 1g.5gb', MemoryInfo=types.SimpleNamespace(total=5*2**30, used=0))
    card.update({('MigDeviceHandleByIndex', i): i for i in (1, 2)})
    d, *_ = Nvml(fake_nvml([card, part, part], nvmlDeviceGetCount=lambda: 1)).devices()
    assert d.mig and [(o.index, o.name, o.memory_gb) for o in d.mig_devices] == [(1, 'MIG 1g.5gb', 5), (2, 'MIG 1g.5gb', 5)]

def test_peers():
    "Whether cards can read each other's memory is asked once for each pair."
    asked = []
    def p2p(a, b, kind): asked.append((a, b)); return 0 if {a, b} == {0, 1} else 1
    p = Nvml(fake_nvml([full()]*3, nvmlDeviceGetP2PStatus=p2p))
    assert [d.p2p for d in p.devices()] == [('self', 'ok', 'chipset'), ('ok', 'self', 'chipset'), ('chipset', 'chipset', 'self')]
    p.devices()
    assert len(asked) == 6

weird = st.none() | st.floats() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=4) | st.binary(max_size=5) | \
    st.builds(types.SimpleNamespace, total=st.floats(), used=st.none(), gpu=st.text(max_size=3), pid=st.floats())

@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(full())), weird | st.lists(weird, max_size=3)))
def test_nvml_with_anything_in_it(answers):
    "Whatever the library answers, there is a device that can be shown and written down."
    found = Nvml(fake_nvml([full(**answers)])).devices()
    assert len(found) == 1
    gpu_table(found).text(), gpu_table(found).html()
    assert to_device(json.loads(json.dumps(dataclasses.asdict(found[0]), default=str)), strict=False).index == 0

def test_fork():
    "A child connects to the driver anew: a connection doesn't survive a fork."
    if not hasattr(os, 'fork'): pytest.skip('needs fork')
    n = []
    p = Nvml(fake_nvml([full()], nvmlInit=lambda: n.append(1)))
    p.devices()
    assert len(n) == 1
    p._pid = -1
    assert len(p.devices()) == 1 and len(n) == 2


# ---- NVML, by the real module and a library compiled for the occasion

C = r'''
typedef unsigned int u; typedef unsigned long long ull;
#include <string.h>
int nvmlInit_v2(void){return 0;} int nvmlInitWithFlags(u f){return 0;} int nvmlShutdown(void){return 0;}
int nvmlDeviceGetCount_v2(u*n){*n=2;return 0;}
int nvmlDeviceGetHandleByIndex_v2(u i,void**h){*h=(void*)(long)(i+1);return 0;}
int nvmlSystemGetDriverVersion(char*s,u n){strncpy(s,"470.82.01",n);return 0;}
int nvmlSystemGetCudaDriverVersion(int*v){*v=11040;return 0;}
int nvmlDeviceGetName(void*h,char*s,u n){strncpy(s,"NVIDIA A100-SXM4-40GB",n);return 0;}
int nvmlDeviceGetUUID(void*h,char*s,u n){strncpy(s,(long)h==1?"GPU-aa":"GPU-bb",n);return 0;}
typedef struct{ull total,free,used;} mem;
int nvmlDeviceGetMemoryInfo(void*h,mem*m){if((long)h==2)return 15;m->total=40ull<<30;m->used=1ull<<30;m->free=39ull<<30;return 0;}
int nvmlDeviceGetTemperature(void*h,int s,u*t){if((long)h==2)return 15;*t=91;return 0;}
int nvmlDeviceGetCurrentClocksThrottleReasons(void*h,ull*r){*r=0x40;return 0;}
int nvmlDeviceGetCurrPcieLinkWidth(void*h,u*w){*w=8;return 0;} int nvmlDeviceGetMaxPcieLinkWidth(void*h,u*w){*w=16;return 0;}
int nvmlDeviceGetPowerUsage(void*h,u*p){return 3;}
const char*nvmlErrorString(int e){return "an error";}
'''

@pytest.mark.skipif(not shutil.which('gcc') or not sys.platform.startswith('linux'), reason='needs gcc on Linux')
def test_through_real_ctypes(tmp_path):
    "The real nvidia-ml-py with the library of an old driver that lacks most functions: what it has is told, the rest is None."
    pytest.importorskip('pynvml')
    (tmp_path/'nvml.c').write_text(C)
    subprocess.run(['gcc', '-shared', '-fPIC', '-o', tmp_path/'libnvidia-ml.so.1', tmp_path/'nvml.c'], check=True)
    code = 'import json\nfrom dataclasses import asdict\nfrom mlkit.core.devices import Nvml\np = Nvml()\nd = p.devices()\n' \
        'print(json.dumps([p.driver, p.cuda, p.error, [asdict(o) for o in d]]))'
    env = dict(os.environ, LD_LIBRARY_PATH=str(tmp_path), PYTHONPATH=str(ROOT))
    p = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    driver, cuda, error, (one, two) = json.loads(p.stdout)
    assert (driver, cuda, error) == ('470.82.01', '11.4', None)
    assert (one['name'], one['memory_gb'], one['used_gb'], one['temp_c']) == ('NVIDIA A100-SXM4-40GB', 40, 1, 91)
    assert (one['reasons'], one['pcie_width'], one['pcie_width_max']) == (['hw_thermal_slowdown'], 8, 16)
    assert one['power_w'] is None and one['ecc'] is None and one['processes'] is None and one['util'] is None
    assert (two['uuid'], two['error'], two['memory_gb']) == ('GPU-bb', 'GPU_IS_LOST', None)


# ---- scripts and files

def test_environment_names_the_devices(tmp_path):
    "A machine in a file stands in for this one, in a process that knows nothing of it."
    path = tmp_path/'box.json'
    path.write_text(json.dumps(dict(devices=[dict(index=0, name='NVIDIA L4', capability=[8, 9])], cuda='12.4')))
    code = 'from mlkit.core.devices import provider\np = provider()\nprint(p.kind, p.cuda, p.devices()[0].capability)'
    p = subprocess.run([sys.executable, '-c', code], env=dict(os.environ, MLKIT_DEVICES=str(path), PYTHONPATH=str(ROOT)),
        capture_output=True, text=True)
    assert p.stdout.split('\n')[0] == 'scripted 12.4 (8, 9)', p.stderr

@pytest.mark.parametrize('text', ['', '[]', '{"devices": 3}', '{"devices": [3]}', '{"devices": [{"index": 0, "processes": [3]}]}',
    '{"devices": [{"index": 0, "processes": 3}]}', '{"colour": 1}', '{"devices": [{"idx": 0}]}'])
def test_a_file_that_is_wrong(tmp_path, text):
    "A slip in a file of devices is an error that names the file."
    (tmp_path/'box.json').write_text(text)
    with pytest.raises(ValueError, match='box.json'): Scripted.read(tmp_path/'box.json')

json_like = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda o: st.lists(o, max_size=3) | st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Device)] + ['pid', 'x']), o,
        max_size=4), max_leaves=10)

@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Device)] + ['x']), json_like))
def test_noted_devices_with_anything_in_them(d):
    "Devices that another version noted down, or somebody edited, are read as far as they make sense, and can be shown."
    found = to_device(d, strict=False)
    gpu_table([found]).text(120), gpu_table([found]).html()
    assert found.free_gb is None or math.isfinite(found.free_gb)

def test_nothing_is_loaded_without_a_driver():
    "Asking for devices on a machine without a driver loads neither NVML nor torch."
    if any(map(os.path.exists, ('/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg', '/dev/kfd'))): pytest.skip('there is a driver')
    code = 'import sys\nfrom mlkit.core.devices import provider\np = provider()\nprint(p.kind, bool(p.error), p.devices())\n' \
        'print(sorted({"pynvml", "torch", "psutil", "rich", "pandas"} & set(sys.modules)))'
    env = {k: v for k, v in os.environ.items() if k != 'MLKIT_DEVICES'}
    p = subprocess.run([sys.executable, '-c', code], env=dict(env, PYTHONPATH=str(ROOT)), capture_output=True, text=True)
    assert p.stdout.split('\n')[:2] == ['none True []', '[]'], p.stderr

def test_kinds():
    assert isinstance(provider('none'), NoDevices) and reason_names(0x1ff)[-1] == 'display_clock_setting'
    assert SmiXml().devices() == [] or shutil.which('nvidia-smi')
