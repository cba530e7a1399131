"""The trackers side by side: how each one starts a run in a folder, logs a row, finishes, and reads its rows back.

Every tool is used as its own documentation shows, with its defaults, except that nothing goes to the network. `log`
takes a dict; tools that take one value a call get a loop. `frames(folder)` reads with the tool's own reader, where it
has one for local files."""
import importlib.metadata
import json
import os
import struct
from pathlib import Path

OFFLINE = dict(WANDB_MODE='offline', WANDB_SILENT='true', HF_HUB_OFFLINE='1', DO_NOT_TRACK='1', DVC_NO_ANALYTICS='1',
    MLFLOW_ALLOW_FILE_STORE='true', MLFLOW_DISABLE_TELEMETRY='true', MPLBACKEND='agg', TF_CPP_MIN_LOG_LEVEL='3')


class Mlkit:
    "`shared` joins the run of rank 0 through `RANK`, as torchrun sets it."
    name, package = 'mlkit', 'mlkit-nb'

    def __init__(self, folder:Path, shared:str|None=None):
        import mlkit
        self.run = mlkit.init('p', store=folder)
        self.log, self.finish = self.run.log, self.run.finish

    @staticmethod
    def frames(folder:Path)->list:
        import mlkit
        return [run.history() for run in mlkit.runs('p', store=folder)]


class Nothing:
    "What the loop costs by itself."
    name, package = 'nothing', ''

    def __init__(self, folder:Path, shared:str|None=None): ...
    def log(self, row:dict)->None: ...
    def finish(self)->None: ...


class Trackio:
    "`shared` is a run's name, which every process goes on with."
    name, package = 'trackio', 'trackio'

    def __init__(self, folder:Path, shared:str|None=None):
        os.environ['TRACKIO_DIR'] = str(folder)
        import trackio
        self.run = trackio.init('p', name=shared, resume='allow') if shared else trackio.init('p')
        self.log, self.finish = self.run.log, trackio.finish

    @staticmethod
    def frames(folder:Path)->list:
        os.environ['TRACKIO_DIR'] = str(folder)
        import pandas as pd
        import trackio.utils
        from trackio import sqlite_storage
        for module in (trackio.utils, sqlite_storage): module.TRACKIO_DIR = folder   # fixed at import
        store = sqlite_storage.SQLiteStorage
        return [pd.DataFrame(store.get_logs('p', run_id=run['id'])) for run in store.get_run_records('p')]


class TensorBoard:
    "torch's SummaryWriter; `shared` is one log directory for all processes."
    name, package = 'tensorboard', 'tensorboard'

    def __init__(self, folder:Path, shared:str|None=None):
        from torch.utils.tensorboard import SummaryWriter
        self.writer, self.step = SummaryWriter(folder/(shared or str(os.getpid()))), 0
        self.finish = self.writer.close

    def log(self, row:dict)->None:
        for k, v in row.items(): self.writer.add_scalar(k, v, self.step)
        self.step += 1

    @staticmethod
    def frames(folder:Path)->list:
        "One frame a file: the accumulator of a directory with several writers would leave rows out."
        import pandas as pd
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        out = []
        for path in sorted(folder.rglob('events.out.tfevents.*')):
            events = EventAccumulator(str(path), size_guidance=dict(scalars=0), purge_orphaned_data=False)
            events.Reload()
            points = {k: events.Scalars(k) for k in events.Tags()['scalars']}
            series = {k: pd.Series([o.value for o in v], [o.step for o in v]) for k, v in points.items()}
            out.append(pd.DataFrame(series))
        return out


class Wandb:
    "W&B offline. It has no reader for its offline files, so this one parses them with W&B's own protobuf classes."
    name, package = 'wandb', 'wandb'

    def __init__(self, folder:Path, shared:str|None=None):
        if shared: raise NotImplementedError('several processes in one run need a W&B server')
        import wandb
        self.run = wandb.init(project='p', dir=folder, mode='offline')
        self.log, self.finish = self.run.log, self.run.finish

    @staticmethod
    def frames(folder:Path)->list:
        import pandas as pd
        out = []
        for path in sorted(folder.glob('wandb/offline-run-*/*.wandb')):
            rows = [{'/'.join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
                for r in wandb_records(path.read_bytes()) if r.HasField('history')]
            out.append(pd.DataFrame(rows))
        return out


def wandb_records(data:bytes)->list:
    "The records of a `.wandb` file: a LevelDB log in blocks of 32 KiB after 7 bytes; a torn end is left out."
    from wandb.proto.wandb_internal_pb2 import Record
    out, parts, at = [], [], 7
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, size, kind = struct.unpack_from('<IHB', data, at)
        if kind == 0 or at + 7 + size > len(data): break
        parts.append(data[at + 7:at + 7 + size])
        at += 7 + size
        if kind in (1, 4):                                             # whole, first, middle, last are 1 to 4
            out.append(Record.FromString(b''.join(parts)))
            parts = []
    return out


class Aim:
    "Its reader gives hashed steps (aim issue: `sparse_list`), so rows come back in no order."
    name, package = 'aim', 'aim'

    def __init__(self, folder:Path, shared:str|None=None):
        if shared: raise NotImplementedError('a run of Aim has one writer')
        import aim
        self.run, self.step = aim.Run(repo=str(folder)), 0
        self.finish = self.run.close

    def log(self, row:dict)->None:
        self.run.track(row, step=self.step)
        self.step += 1

    @staticmethod
    def frames(folder:Path)->list:
        import aim
        import pandas as pd
        out = []
        for name in aim.Repo(str(folder)).list_all_runs():
            run = aim.Run(name, repo=str(folder), system_tracking_interval=None, capture_terminal_logs=False)
            points = {m.name: m.values.sparse_numpy() for m in run.metrics() if not m.name.startswith('__system__')}
            out.append(pd.DataFrame({k: pd.Series(v, i) for k, (i, v) in points.items()}))
            run.close()
        return out


class Mlflow:
    "The default: a local SQLite database, written synchronously. `shared` is the id of the run that rank 0 made."
    name, package, at = 'mlflow', 'mlflow', 'sqlite:///{}/mlflow.db'
    extra:dict = {}

    def __init__(self, folder:Path, shared:str|None=None):
        import mlflow
        mlflow.set_tracking_uri(self.at.format(folder))
        self.mlflow, self.step, note = mlflow, 0, Path(folder)/'run_id'
        rank = os.environ.get('RANK', '0')
        self.run = mlflow.start_run(note.read_text() if shared and rank != '0' else None)
        if shared and rank == '0': note.write_text(self.run.info.run_id)
        self.finish = mlflow.end_run

    def log(self, row:dict)->None:
        self.mlflow.log_metrics(row, step=self.step, **self.extra)
        self.step += 1

    @classmethod
    def frames(cls, folder:Path)->list:
        import mlflow
        import pandas as pd
        mlflow.set_tracking_uri(cls.at.format(folder))
        client, out = mlflow.MlflowClient(), []
        for run in client.search_runs(['0']):
            points = {k: client.get_metric_history(run.info.run_id, k) for k in run.data.metrics}
            out.append(pd.DataFrame({k: [p.value for p in v] for k, v in points.items()}) if points else pd.DataFrame())
        return out


class MlflowFile(Mlflow):
    "MLflow's file store, which it is giving up."
    name, at = 'mlflow-file', 'file:{}/mlruns'


class MlflowAsync(Mlflow):
    "MLflow with `synchronous=False`."
    name, extra = 'mlflow-async', dict(synchronous=False)


class Dvclive:
    "`next_step` ends a row."
    name, package = 'dvclive', 'dvclive'

    def __init__(self, folder:Path, shared:str|None=None):
        if shared: raise NotImplementedError('a run of DVCLive has one writer')
        from dvclive import Live
        self.live = Live(str(folder/f'live-{os.getpid()}'), save_dvc_exp=False, dvcyaml=None)
        self.finish = self.live.end

    def log(self, row:dict)->None:
        for k, v in row.items(): self.live.log_metric(k, v)
        self.live.next_step()

    @staticmethod
    def frames(folder:Path)->list:
        import pandas as pd
        def column(p): return pd.read_csv(p, sep='\t', on_bad_lines='skip')[p.stem]
        lives = sorted(folder.glob('live-*'))
        return [pd.DataFrame({p.stem: column(p) for p in live.glob('plots/metrics/*.tsv')}) for live in lives]


ALL = {t.name: t for t in (Mlkit, Nothing, Trackio, TensorBoard, Wandb, Aim, Mlflow, MlflowFile, MlflowAsync, Dvclive)}
PEERS = [name for name in ALL if name not in ('mlkit', 'nothing')]


def version(name:str)->str: # Empty when the tool is not installed
    "The installed version of the tool `name`."
    try: return importlib.metadata.version(ALL[name].package) if name != 'nothing' else '-'
    except importlib.metadata.PackageNotFoundError: return 'this folder' if name == 'mlkit' else ''
