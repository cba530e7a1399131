"""What it costs to import mlkit and to ask for help, beside an interpreter that does nothing.

    python benchmarks/bench_import.py

Each command runs in a new process, in turn, A B C A B C. The bars are ratios of the medians: `import mlkit` and
`mlkit --help` take less than 3 times a bare interpreter."""
import statistics as st
import subprocess
import sys
import time

import common
from common import Bar, Figure, Options

HELP = 'import sys; from mlkit.cli.main import main; sys.exit(main(["--help"]))'    # what the installed program does
COMMANDS = {'bare': 'pass', 'import mlkit': 'import mlkit', 'mlkit --help': HELP}
BARS = {f'{name}, times a bare interpreter': Bar(most=3) for name in list(COMMANDS)[1:]}


def once(code:str, o:Options)->float:
    "Milliseconds that a new interpreter takes for `code`."
    at, env = common.project(o), common.environment()
    began = time.perf_counter()
    subprocess.run([sys.executable, '-c', code], cwd=at, env=env, stdout=subprocess.DEVNULL, check=True)
    return 1e3*(time.perf_counter() - began)


def measure(o:Options)->list[Figure]:
    "Medians in milliseconds, and their ratios to the bare interpreter."
    times:dict[str, list[float]] = {name: [] for name in COMMANDS}
    for code in COMMANDS.values(): once(code, o)                    # bytecode is compiled and cached
    for _ in range(5 if o.quick else 8*o.rounds):
        for name, code in COMMANDS.items(): times[name].append(once(code, o))
    ms = {name: st.median(t) for name, t in times.items()}
    out = []
    for name in list(COMMANDS)[1:]:
        out += [Figure(f'{name}, ms', 'mlkit', ms[name]), Figure(f'{name}, ms', 'nothing', ms['bare'])]
        out.append(Figure(f'{name}, times a bare interpreter', 'mlkit', ms[name]/ms['bare']))
    return out


if __name__ == '__main__': common.main(lambda job: {}, measure, BARS)
