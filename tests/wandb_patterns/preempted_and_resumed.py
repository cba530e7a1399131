"A job with a fixed id that is killed and started again: `resume='allow'`, `run.resumed`, `run.step`."
import os, sys

import mlkit as wandb

wandb.init(project='patterns', id='job-42', resume='allow', config={'epochs': 10})
start = wandb.run.step if wandb.run.resumed else 0
for epoch in range(start, wandb.config['epochs']):
    wandb.log({'epoch': epoch})
    if not wandb.run.resumed and epoch == 5: os._exit(1)    # the scheduler takes the machine away
wandb.run.summary['final'] = 'yes'
wandb.run.summary.update({'more': 1})
wandb.finish()
sys.exit(0)
