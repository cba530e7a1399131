"What the tests share: a store of their own, scripts in processes of their own, and a real notebook kernel."
import os, re, subprocess, sys, textwrap, time
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest

hypothesis.settings.register_profile('any machine', deadline=None)        # no test depends on how fast the machine is
hypothesis.settings.load_profile('any machine')

ROOT = Path(__file__).resolve().parents[1]
QUIET = dict(MLKIT_CODE='0', MLKIT_CONSOLE='0', MLKIT_SYSTEM='0', MLKIT_PACKAGES='0') # capturing has tests of its own
LAUNCHER = re.compile('(RANK|WORLD_SIZE|LOCAL_RANK|MASTER_|TORCHELASTIC|SLURM_|PMI|OMPI|MLKIT_|WANDB_)')

def clean_env(**env)->dict:
    "This process's environment without what a launcher or a user's own settings would change, plus `env`."
    kept = {k: v for k,v in os.environ.items() if not LAUNCHER.match(k)}
    return {**kept, **QUIET, 'PYTHONPATH': str(ROOT), **{k: str(v) for k,v in env.items()}}

class Result(NamedTuple):
    "How a script ended."
    rc:int; out:str; err:str

class Scripts:
    "Runs Python code as a script in a process of its own, with the store in `MLKIT_STORE`."
    def __init__(self, folder:Path, store:Path): self.folder, self.store, self.n, self.procs = folder, store, 0, []

    def start(self, code:str|Path, *args, **env)->subprocess.Popen:
        "Start `code` (or the file that it names) and return its process, which dies with the test."
        self.n += 1
        path = self.folder/f'script{self.n}.py'
        path.write_text(code.read_text() if isinstance(code, Path) else textwrap.dedent(code))
        env = clean_env(**{'MLKIT_STORE': self.store, **env})
        p = subprocess.Popen([sys.executable, str(path), *map(str, args)], cwd=self.folder, env=env, text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.procs.append(p)
        return p

    def wait(self, p:subprocess.Popen, timeout:float=90.)->Result:
        "The result of a started script."
        out, err = p.communicate(timeout=timeout)
        return Result(p.returncode, out, err)

    def __call__(self, code:str|Path, *args, ok:bool=False, **env)->Result:
        "Run `code` to its end; with `ok` an exit status other than 0 fails the test and shows why."
        r = self.wait(self.start(code, *args, **env))
        assert not ok or r.rc == 0, f'exit status {r.rc}\n{r.out}\n{r.err}'
        return r

    def close(self)->None:
        for p in self.procs:
            if p.poll() is None: p.kill()
            p.communicate()

class Kernel:
    "A real IPython kernel; `run` executes a cell as a frontend does, with or without the cell's id."
    def __init__(self, folder:Path, store:Path, **env):
        from jupyter_client.manager import KernelManager
        self.km = KernelManager(kernel_name='python3')
        self.km.start_kernel(cwd=str(folder), env=clean_env(**{'MLKIT_STORE': store, **env}))
        self.kc = self.km.client()
        self.kc.start_channels()
        self.kc.wait_for_ready(timeout=60)

    def send(self, code:str, cell_id:str|None=None)->str:
        "Ask for the execution of a cell and return the message's id."
        content = dict(code=textwrap.dedent(code), silent=False, store_history=True, user_expressions={},
            allow_stdin=False, stop_on_error=True)
        msg = self.kc.session.msg('execute_request', content, metadata=dict(cellId=cell_id) if cell_id else {})
        self.kc.shell_channel.send(msg)
        return msg['header']['msg_id']

    def result(self, msg_id:str, timeout:float=60.)->tuple[str, str|None]:
        "What the cell printed and returned, and the name of its error."
        text, error = [], None
        while True:
            m = self.kc.get_iopub_msg(timeout=timeout)
            if m['parent_header'].get('msg_id') != msg_id: continue
            kind, c = m['msg_type'], m['content']
            if kind == 'stream': text.append(c['text'])
            elif kind in ('execute_result', 'display_data'): text.append(c['data'].get('text/plain', ''))
            elif kind == 'error': error = c['ename']
            elif kind == 'status' and c['execution_state'] == 'idle': return ''.join(text), error

    def run(self, code:str, cell_id:str|None=None)->tuple[str, str|None]: return self.result(self.send(code, cell_id))

    def interrupt(self): self.km.interrupt_kernel()

    def shutdown(self)->None:
        "What a frontend's 'shut down' does: ask, wait, then kill."
        self.kc.stop_channels()
        if self.km.has_kernel: self.km.shutdown_kernel()

@pytest.fixture(scope='module', autouse=True)
def one_browser(request):
    "The pages of a file of tests/browser share a browser, and its runs look at nothing but what they are told."
    if request.path.parent.name != 'browser':
        yield
        return
    import browser
    with browser.shared(), pytest.MonkeyPatch.context() as m:
        for k in ('MLKIT_CODE', 'MLKIT_PACKAGES'): m.setenv(k, '0')
        yield

@pytest.fixture
def store(tmp_path, monkeypatch):
    "An empty store, in `MLKIT_STORE` too; the run that a test leaves open is finished."
    path = tmp_path/'store'
    for k in list(os.environ):
        if LAUNCHER.match(k): monkeypatch.delenv(k)
    for k, v in QUIET.items(): monkeypatch.setenv(k, v)
    monkeypatch.setenv('MLKIT_STORE', str(path))
    monkeypatch.chdir(tmp_path)
    yield path
    import mlkit
    if (run := mlkit.current()) is not None: run.finish()

@pytest.fixture
def script(tmp_path, store):
    "Call it with code: it runs as a script and gives `rc, out, err`."
    scripts = Scripts(tmp_path, store)
    yield scripts
    scripts.close()

@pytest.fixture
def kernel(tmp_path, store):
    "Call it to start a real notebook kernel with the store."
    kernels = []
    def start(**env):
        kernels.append(Kernel(tmp_path, store, **env))
        return kernels[-1]
    yield start
    for k in kernels: k.shutdown()

def unmount_left_overs()->None:
    "Unmount the disks of test processes that were killed."
    mounts = [o.split(' ') for o in Path('/proc/mounts').read_text().splitlines() if o.startswith('mlkit-test-')]
    for source, at, *_ in mounts:
        if not Path(f'/proc/{source.rpartition("-")[2]}').exists(): subprocess.run(['umount', '-l', at], check=False)

@pytest.fixture
def small_disk(tmp_path):
    "Call it with a size to mount a real tmpfs of it; needs Linux and root."
    mounts = []
    def mount(size:str='1m')->Path:
        if sys.platform != 'linux': pytest.skip('tmpfs is a file system of Linux')
        unmount_left_overs()
        at = tmp_path/f'disk{len(mounts)}'
        at.mkdir()
        command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', f'mlkit-test-{os.getpid()}', str(at)]
        r = subprocess.run(command, capture_output=True, text=True)
        if r.returncode: pytest.skip(f'no tmpfs can be mounted: {r.stderr.strip()}')
        mounts.append(at)
        return at
    yield mount
    import mlkit
    if (run := mlkit.current()) is not None: run.finish()
    for at in mounts: subprocess.run(['umount', '-l', str(at)], check=False)

def until(condition, seconds:float=30.):
    "Wait until `condition()` is true and return what it gave; fails after `seconds`, which no test should come near."
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end, f'{condition} did not come true within {seconds:g} s'
        time.sleep(.01)
    return got

def only(project:str='p', **kw):
    "The one run of `project`."
    import mlkit
    found = list(mlkit.runs(project, **kw))
    assert len(found) == 1, found
    return found[0]
