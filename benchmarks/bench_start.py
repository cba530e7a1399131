"""Import the tool, start a run, finish it: processor time of the whole process, the interpreter and sidecars
included, and wall time.

`nothing` is the bare interpreter. The runs are made in a small git repository, with what each tool records by
default."""
import subprocess
import sys
import time

from common import Bar, Figure, Options, adopt, environment, figures, fresh, main, project, reap, spent

WHAT = 'import, init, finish: CPU s'
BARS = {WHAT: Bar(.2)}
CODE = {
    'mlkit': "import mlkit; mlkit.init('p', store='{}').finish()",
    'nothing': '',
    'trackio': "import os; os.environ['TRACKIO_DIR'] = '{}'; import trackio; trackio.init('p'); trackio.finish()",
    'tensorboard': "from torch.utils.tensorboard import SummaryWriter; SummaryWriter('{}').close()",
    'wandb': "import wandb; wandb.init(project='p', dir='{}', mode='offline').finish()",
    'aim': "import aim; aim.Run(repo='{}').close()",
    'mlflow': "import mlflow as m; m.set_tracking_uri('sqlite:///{}/mlflow.db'); m.start_run(); m.end_run()",
    'mlflow-file': "import mlflow as m; m.set_tracking_uri('file:{}/mlruns'); m.start_run(); m.end_run()",
    'dvclive': "from dvclive import Live; Live('{}/live', save_dvc_exp=False, dvcyaml=None).end()",
}


def start(tool:str, o:Options)->dict:
    "One process that runs a script, as trackers look at it."
    with fresh(o) as folder:
        script = project(o)/'train.py'
        script.write_text(CODE[tool].format(folder) + '\n')
        before, t = spent(), time.perf_counter()
        cmd = [sys.executable, str(script)]
        p = subprocess.run(cmd, cwd=script.parent, env=environment(), capture_output=True, text=True)
        t = time.perf_counter() - t
        reap()
        if p.returncode: return dict(error=p.stderr.strip().splitlines()[-1])
        return dict(cpu=spent() - before, wall=t)


def measure(o:Options)->list[Figure]:
    adopt()
    names = o.pick(*CODE)
    for tool in names: start(tool, o)                                    # bytecode and page cache
    got:dict[str, list[dict]] = {tool: [] for tool in names}
    for _ in range(o.rounds):
        for tool in names: got[tool].append(start(tool, o))
    return figures(WHAT, got, 'cpu') + figures('import, init, finish: wall s', got, 'wall')


if __name__ == '__main__': main(lambda job: {}, measure, BARS)
