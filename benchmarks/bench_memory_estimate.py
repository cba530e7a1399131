"""The estimated peak of training against the measured one, for five kinds of model.

    python benchmarks/bench_memory_estimate.py [--only mlp,lstm] [--json PATH]

Every case is measured in a fresh process: its resident set at its largest, above what it was after two steps of a tiny
model of the same kind, which loads all libraries. glibc is told to give memory back at once (`MALLOC_*`), since what it
keeps for later is its own decision and no need of the model. The bar: within 10 % in each of the 20 cases."""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

MALLOC = dict(MALLOC_MMAP_THRESHOLD_='65536', MALLOC_TRIM_THRESHOLD_='65536', MALLOC_ARENA_MAX='1')


class Lstm(nn.Module):
    "A language model of two LSTM layers."
    def __init__(self, words, width, hidden):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(words, width), nn.LSTM(width, hidden, 2, batch_first=True)
        self.head = nn.Linear(hidden, words)

    def forward(self, x): return self.head(self.lstm(self.embedding(x))[0])


class Attention(nn.Module):
    "A causal block of GPT-2's form."
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.qkv, self.out = nn.Linear(width, 3*width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4*width), nn.GELU(), nn.Linear(4*width, width))

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = (o.view(n, length, self.heads, -1).transpose(1, 2) for o in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, length, width)
        x = x + self.out(mixed)
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    "A causal transformer whose output layer is its embedding."
    def __init__(self, words, width, layers, heads, length):
        super().__init__()
        self.tokens, self.places = nn.Embedding(words, width), nn.Parameter(torch.zeros(length, width))
        self.blocks = nn.ModuleList(Attention(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, x):
        x = self.tokens(x) + self.places[:x.shape[1]]
        for b in self.blocks: x = b(x)
        return self.head(self.norm(x))


class Encoder(nn.Module):
    "A classifier on torch's own transformer encoder."
    def __init__(self, width, layers, heads):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 4*width, dropout=.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x): return self.head(self.encoder(x).mean(1))


def conv(a, b, stride=1): return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())

def cnn(w):
    "Six convolutions with batch norm."
    parts = [conv(3, w), conv(w, w), conv(w, 2*w, 2), conv(2*w, 2*w), conv(2*w, 4*w, 2), conv(4*w, 4*w)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4*w, 10))

def mlp(i, h): return nn.Sequential(nn.Linear(i, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 10))

def words(n, length): return torch.zeros(n, length, dtype=torch.long), torch.zeros(n, length, dtype=torch.long)

def labelled(*shape): return torch.randn(*shape), torch.zeros(shape[0], dtype=torch.long)

# each kind: the model and batch that are measured, and tiny ones that load the same libraries
KINDS = {
    'mlp': (lambda: (mlp(1024, 4096), labelled(10_000, 1024)), lambda: (mlp(8, 8), labelled(4, 8))),
    'cnn': (lambda: (cnn(64), labelled(512, 3, 32, 32)), lambda: (cnn(16), labelled(2, 3, 32, 32))),
    'encoder': (lambda: (Encoder(512, 6, 8), labelled(20, 128, 512)), lambda: (Encoder(32, 1, 2), labelled(2, 8, 32))),
    'gpt': (lambda: (Gpt(8000, 512, 6, 8, 256), words(12, 256)), lambda: (Gpt(64, 32, 1, 2, 16), words(2, 16))),
    'lstm': (lambda: (Lstm(4000, 512, 1024), words(128, 64)), lambda: (Lstm(64, 16, 16), words(2, 8)))}
OPTIMIZERS = dict(sgd=torch.optim.SGD, adamw=torch.optim.AdamW)


def loss(prediction, target): return F.cross_entropy(prediction.reshape(-1, prediction.shape[-1]), target.reshape(-1))

def resident(name):
    "MiB that the kernel says of this process: `VmRSS` now, `VmHWM` at most."
    return next(int(o.split()[1]) for o in Path('/proc/self/status').read_text().splitlines() if o.startswith(name))/1024

def train(model, batch, optimizer, bf16, steps):
    "Some steps, as one would write them."
    opt = OPTIMIZERS[optimizer](model.parameters(), lr=1e-3)
    for _ in range(steps):
        with torch.autocast('cpu', torch.bfloat16, enabled=bf16): end = loss(model(batch[0]), batch[1])
        end.backward()
        del end
        opt.step()
        opt.zero_grad()

def measure(kind, optimizer, bf16):
    "MiB at the peak of three steps, above the process itself; to be called in a fresh process with `MALLOC`."
    large, tiny = KINDS[kind]
    train(*tiny(), optimizer, bf16, 2)
    base = resident('VmRSS')
    train(*large(), optimizer, bf16, 3)
    return resident('VmHWM') - base

def measured(kind, optimizer, bf16):
    "`measure` in a process of its own."
    command = [sys.executable, __file__, '--child', kind, optimizer, str(int(bf16))]
    done = subprocess.run(command, env=os.environ | MALLOC, capture_output=True, text=True, timeout=600, check=True)
    return float(done.stdout.split()[-1])

def estimated(kind, optimizer, bf16):
    "MiB of the estimate."
    from mlkit.compute import estimate
    model, batch = KINDS[kind][0]()
    return 1024*estimate(model, batch, optimizer, loss, amp='bf16' if bf16 else None).peak_gb

def cases(only=None): return [(k, o, b) for k in KINDS if not only or k in only for b in (False, True) for o in OPTIMIZERS]

def main():
    "Print a row for each case."
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument('--only', help='kinds, separated by commas')
    args.add_argument('--json', help='write the rows there')
    args.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    o = args.parse_args()
    if o.child: return print(measure(o.child[0], o.child[1], o.child[2] == '1'))
    rows = []
    print(f'{"model":8} {"optimizer":9} {"":5} {"measured":>9} {"estimated":>9}    off')
    for kind, optimizer, bf16 in cases(o.only and o.only.split(',')):
        true, said = measured(kind, optimizer, bf16), estimated(kind, optimizer, bf16)
        rows.append(dict(kind=kind, optimizer=optimizer, bf16=bf16, measured_mib=true, estimated_mib=said, off=said/true - 1))
        print(f'{kind:8} {optimizer:9} {"bf16" if bf16 else "fp32":5} {true:9.1f} {said:9.1f} {100*(said/true - 1):+6.1f} %', flush=True)
    worst = max(abs(r['off']) for r in rows)
    print(f'{len(rows)} cases, at most {100*worst:.1f} % off; the bar is 10 %')
    if o.json: Path(o.json).write_text(json.dumps(rows, indent=1))


if __name__ == '__main__': main()
