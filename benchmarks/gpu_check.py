"""On a machine with a CUDA device: its roofs, the utilisation of a GPT-like block, and estimated against real memory.

python benchmarks/gpu_check.py [--json PATH] [--seconds 8]

What fails is a row that says why; the others are still there."""
import argparse, json, time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, LAYERS, LENGTH, VOCABULARY = 1024, 16, 12, 1024, 50304

class Block(nn.Module):
    "A layer of a causal transformer."
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3*WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4*WIDTH), nn.GELU(), nn.Linear(4*WIDTH, WIDTH))

    def forward(self, x:torch.Tensor)->torch.Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(self.first(x)).view(b, t, 3, HEADS, d//HEADS).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.second(x))

class Gpt(nn.Module):
    "Tokens to the loss of the next token, with tied embeddings."
    def __init__(self, layers:int=LAYERS):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(torch.zeros(LENGTH, WIDTH))
        self.blocks, self.norm = nn.Sequential(*(Block() for _ in range(layers))), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens:torch.Tensor, targets:torch.Tensor)->torch.Tensor:
        x = self.head(self.norm(self.blocks(self.tokens(tokens) + self.places[:tokens.shape[1]])))
        return F.cross_entropy(x.flatten(0, 1).float(), targets.flatten())

def data(batch:int, length:int=LENGTH)->tuple[torch.Tensor, torch.Tensor]:
    "Random tokens and targets on the processor."
    a, b = torch.randint(VOCABULARY, (2, batch, length)).unbind()
    return a, b

def attempt(rows:list[dict], name:str, part:Callable[[], list[dict]])->None:
    "Add the rows of `part`, or one that says why there are none."
    start = time.perf_counter()
    try: rows += part()
    except Exception as e: rows.append(dict(what=name, value='failed', note=f'{type(e).__name__}: {e}'[:200]))
    print(f'{name}: {time.perf_counter() - start:.1f} s', flush=True)
    torch.cuda.empty_cache()

def steps(model:Callable[..., torch.Tensor], batch:tuple, opt:torch.optim.Optimizer, n:int, bf16:bool)->list[float]:
    "Seconds of `n` training steps, by CUDA events."
    times = []
    for _ in range(n):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in 'se')
        start.record()
        with torch.autocast('cuda', torch.bfloat16, enabled=bf16): loss = model(*batch)
        loss.backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end)/1e3)
    return times

def roofs(seconds:float, keep:dict)->list[dict]:
    "Every measurement of `roofline`."
    from mlkit.compute.roofline import roofline
    keep['roofline'] = r = roofline('cuda:0', seconds=seconds)
    print(r)
    return [dict(what='roofline', value=f'{r.seconds:.1f} s', note='; '.join(r.reasons) or 'quiet machine')] + [
        dict(what=s.name, value='n.a.' if s.best is None else f'{s.best:.4g} {s.unit}', expected=s.expected and f'{s.expected:.4g}',
            share=s.share and f'{100*s.share:.0f} %', note=f"{s.verdict} {s.note}".strip()) for s in r.speeds]

def utilisation(keep:dict)->list[dict]:
    "MFU of one block and of the whole model, in bf16."
    from mlkit.compute.work import mfu
    block, x = Block().cuda().bfloat16(), torch.randn(32, LENGTH, WIDTH, device='cuda', dtype=torch.bfloat16)
    def once()->torch.Tensor: return block(x).float().square().mean()
    took = min(steps(once, (), torch.optim.SGD(block.parameters(), lr=0.), 12, False)[2:])
    rows = [dict(what='block, batch 32, bf16', value=f'{1e3*took:.1f} ms', note=repr(mfu(block, x, took)))]
    if 'roofline' in keep:
        rows.append(dict(what='  of what was measured', value='', note=repr(keep['roofline'].place(block, x, took, label='block'))))
    model, batch = Gpt().cuda(), tuple(o.cuda() for o in data(16))
    took = min(steps(model, batch, torch.optim.AdamW(model.parameters(), fused=True), 8, True)[2:])
    said = repr(mfu(model, batch, took, 'bf16'))
    return [*rows, dict(what='GPT, 12 layers, batch 16, bf16 autocast', value=f'{1e3*took:.0f} ms', note=said)]

def memory(bf16:bool, batch:int=8)->list[dict]:
    "The estimate against what the allocator saw in three steps."
    from mlkit.compute.memory import estimate
    model, sample = Gpt(6), data(batch)
    said = estimate(Gpt(6).cuda(), sample, 'adamw', amp='bf16' if bf16 else None).peak_gb
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    model, there = model.cuda(), tuple(o.cuda() for o in sample)
    steps(model, there, torch.optim.AdamW(model.parameters()), 3, bf16)
    real = (torch.cuda.max_memory_allocated() - before)/2**30
    off = 100*(said/real - 1)
    what = f'memory, GPT of 6 layers, batch {batch}, {"bf16 autocast" if bf16 else "fp32"}'
    return [dict(what=what, value=f'{real:.2f} GB', expected=f'{said:.2f} GB',
        share=f'{off:+.1f} %', note='ok' if abs(off) <= 10 else 'off by more than 10 %')]

def bus(keep:dict)->list[dict]:
    "An all-reduce over all devices, where there are several."
    from mlkit.compute.waiting import all_reduce_speed
    if torch.cuda.device_count() < 2: return [dict(what='all-reduce', value='n.a.', note='one device')]
    s = all_reduce_speed()
    return [dict(what=s.name, value='n.a.' if s.best is None else f'{s.best:.4g} {s.unit}', note=s.note)]

def table(rows:list[dict])->str:
    "All rows, as text."
    columns = 'what value expected share note'.split()
    cells = [[str(o.get(k) or '') for k in columns] for o in rows]
    sizes = [max(len(c[i]) for c in [columns, *cells]) for i in range(len(columns) - 1)]
    return '\n'.join('  '.join([*(c.ljust(n) for c, n in zip(o, sizes)), o[-1]]).rstrip() for o in [columns, *cells])

def main()->None:
    "Run all parts and print one table."
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument('--json', type=Path, help='write the rows there, too')
    args.add_argument('--seconds', type=float, default=8., help='for the roofline')
    given = args.parse_args()
    if not torch.cuda.is_available(): raise SystemExit('torch sees no CUDA device here; this check is for a machine that has one')
    rows, keep = [dict(what=torch.cuda.get_device_name(0), value=f'torch {torch.__version__}', note=f'CUDA {torch.version.cuda}')], {}
    attempt(rows, 'roofline', lambda: roofs(given.seconds, keep))
    attempt(rows, 'utilisation', lambda: utilisation(keep))
    attempt(rows, 'memory, fp32', lambda: memory(False))
    attempt(rows, 'memory, bf16', lambda: memory(True))
    attempt(rows, 'all-reduce', lambda: bus(keep))
    print('\n' + table(rows))
    if given.json: given.json.write_text(json.dumps(rows, indent=1))

if __name__ == '__main__': main()
