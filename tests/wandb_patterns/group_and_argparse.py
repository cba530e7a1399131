"A worker of a group: settings from argparse into `config.update`, names with sections, no `finish`."
import argparse

import mlkit as wandb

parser = argparse.ArgumentParser()
parser.add_argument('--group_id')
parser.add_argument('--worker', type=int, default=0)
parser.add_argument('--learning_rate', type=float, default=.9)
args = parser.parse_args()

wandb.init(project='patterns', group=args.group_id, job_type='train')
wandb.config.update(args)
wandb.config.optimizer = 'sgd'
for epoch in range(20):
    loss = wandb.config.learning_rate/(epoch + 1)
    wandb.log({'epoch': epoch, 'loss': loss, 'train/acc': 1 - loss})
