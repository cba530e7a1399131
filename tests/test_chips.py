"The names that devices report lead to their own datasheet row, or to none."
import pytest

from mlkit.compute.chips import chip, expected, nearest, peak, read_table

KNOWN = '''
NVIDIA H200|H200 SXM|989
NVIDIA L40S|L40S|362
NVIDIA L40|L40|181
NVIDIA L4|L4|121
NVIDIA RTX A6000|RTX A6000|154.8
NVIDIA GeForce RTX 4090|RTX 4090|165.2
NVIDIA GeForce RTX 4080|RTX 4080|97.5
NVIDIA GeForce RTX 4070|RTX 4070|58.3
NVIDIA GeForce RTX 5090|RTX 5090|209.5
NVIDIA GeForce RTX 5080|RTX 5080|112.6
NVIDIA GeForce RTX 3090|RTX 3090|71.2
NVIDIA GeForce RTX 3080|RTX 3080|59.5
NVIDIA GeForce RTX 3060|RTX 3060|25.5
GeForce RTX 3090|RTX 3090|71.2
GeForce RTX 2080 Ti|RTX 2080 Ti|
NVIDIA GeForce RTX 2080 Ti|RTX 2080 Ti|
NVIDIA A10G|A10G|70
NVIDIA A40|A40|149.7
Tesla T4|T4|
Tesla P100-PCIE-16GB|P100 PCIe 16GB|
Tesla V100-SXM2-16GB|V100 SXM2|
Tesla V100-PCIE-16GB|V100 PCIe|
NVIDIA A100-SXM4-80GB|A100 SXM 80GB|312
A100-SXM4-80GB|A100 SXM 80GB|312
NVIDIA A100 80GB PCIe|A100 PCIe 80GB|312
NVIDIA H100 80GB HBM3|H100 SXM|989
NVIDIA H100 PCIe|H100 PCIe|756
NVIDIA H100 NVL|H100 NVL|835.5
NVIDIA GH200 480GB|GH200 96GB|989
NVIDIA B200|B200|2250
NVIDIA B300 SXM6 AC|B300|2250
NVIDIA GB200|GB200 (per GPU)|2500
AMD Instinct MI300X|MI300X|1307.4
AMD Instinct MI300X OAM|MI300X|1307.4
AMD Instinct MI355X|MI355X|2500
NVIDIA A10|A10|125
NVIDIA A100-SXM4-40GB|A100 SXM 40GB|312
NVIDIA A100-PCIE-40GB|A100 PCIe 40GB|312
Tesla V100-SXM2-32GB|V100 SXM2 32GB|
Apple M1|Apple M1|
Apple M1 Max|Apple M1 Max|
Apple M2 Ultra|Apple M2 Ultra|
Apple M3 Max|Apple M3 Max|
Apple M4|Apple M4|
Apple M4 Max|Apple M4 Max|
'''
OTHERS = '''
NVIDIA GeForce RTX 4090 Laptop GPU
NVIDIA GeForce RTX 4080 Laptop GPU
NVIDIA GeForce RTX 3080 Laptop GPU
NVIDIA GeForce RTX 3080 Ti Laptop GPU
NVIDIA GeForce RTX 4090 D
NVIDIA GeForce RTX 3090 Ti
NVIDIA GeForce RTX 3080 Ti
NVIDIA GeForce RTX 3060 Ti
NVIDIA GeForce RTX 4070 Ti SUPER
NVIDIA GeForce RTX 4080 SUPER
NVIDIA GeForce RTX 2080
GeForce RTX 2080 Ti with Max-Q Design
NVIDIA GeForce GTX 1080 Ti
NVIDIA RTX 6000 Ada Generation
NVIDIA RTX A6000 Laptop GPU
NVIDIA RTX A5000
Quadro RTX 6000
NVIDIA A100-SXM4-80GB MIG 1g.10gb
NVIDIA H100 80GB HBM3 MIG 3g.40gb
NVIDIA H200 MIG 1g.18gb
NVIDIA H200 NVL
NVIDIA H100
NVIDIA H800
NVIDIA A800-SXM4-80GB
NVIDIA GH200 144G HBM3e
NVIDIA GB300
NVIDIA A40-48Q
GRID A100D-80C
Tesla V100-SXM3-32GB
Tesla V100-FHHL-16GB
Tesla P100-SXM2-16GB
Tesla P100-PCIE-12GB
Tesla K80
AMD Instinct MI250X
AMD Instinct MI250X / MI250
AMD Instinct MI325X
AMD Instinct MI300A
Apple M1 Pro
Apple M2
cpu
'''

@pytest.mark.parametrize('line', KNOWN.strip().splitlines())
def test_a_reported_name_finds_its_row(line):
    name, row, bf16 = line.split('|')
    assert chip(name).name == row
    assert peak(name) == (float(bf16) if bf16 else None)

@pytest.mark.parametrize('name', OTHERS.strip().splitlines() + [''])
def test_another_chip_finds_none(name):
    assert chip(name) is None and peak(name) is None and expected(chip(name)) is None

# memory as drivers report it, in GB of 2**30 bytes
@pytest.mark.parametrize('name, gb', [('Tesla T4', 14.6), ('NVIDIA A10G', 22.1), ('NVIDIA L4', 22.5), ('NVIDIA L40S', 44.4),
    ('NVIDIA A40', 44.4),
    ('NVIDIA H200', 140.4), ('NVIDIA H100 80GB HBM3', 79.6), ('NVIDIA B200', 179), ('AMD Instinct MI300X', 192),
    ('NVIDIA GH200 480GB', 95.6)])
def test_what_the_driver_keeps_back_is_allowed(name, gb): assert chip(name, gb)

@pytest.mark.parametrize('name, gb', [('NVIDIA GeForce RTX 3080', 12), ('NVIDIA GeForce RTX 3060', 8), ('NVIDIA GH200 480GB', 144),
    ('AMD Instinct MI300X', 24),
    ('NVIDIA H200', 17.5)])
def test_memory_tells_chips_of_one_name_apart(name, gb): assert chip(name, gb) is None

def test_a_device_of_mi250x_is_half_the_card(): assert chip('AMD Instinct MI250X', 64).name == 'MI250X (one GCD)'

def test_every_row_has_sources_and_finds_itself():
    for row in read_table('gpus'):
        assert row['source_flops'] and (row['source_mem'] or not row['memory_gb'])
        assert chip(row['gpu'], float(row['memory_gb']) if row['memory_gb'] else None).name == row['gpu']

def test_what_is_expected_of_every_row():
    "A measured figure is below the datasheet and names its source; any other is a share of the datasheet, and says so."
    rows = {row['gpu']: chip(row['gpu'], float(row['memory_gb']) if row['memory_gb'] else None) for row in read_table('gpus')}
    measured = {(row['gpu'], row['dtype']) for row in read_table('practice')}
    assert {gpu for gpu, _ in measured} <= set(rows)
    for gpu, found in rows.items():
        for dtype, top in found.tflops.items():
            e = expected(found, dtype)
            assert e.measured == ((gpu, dtype) in measured) and 0 < e.tflops < top and e.share == pytest.approx(e.tflops/top)
            assert e.source.startswith('assumed: 75 % of the datasheet') == (not e.measured)
        assert expected(found, 'float64') is None

def test_doubtful_rows_say_so():
    for o in 'RTX 2080 Ti|RTX 5080|RTX 5090|A10G|V100 SXM2|Apple M4'.split('|'): assert chip(o).doubts and 'UNVERIFIED' in repr(chip(o))
    assert not chip('NVIDIA L4').doubts

def test_suggestions_are_names_of_the_table(): assert 'L40S' in nearest('NVIDIA L40-S') and nearest('zzzzzzzz') == []
