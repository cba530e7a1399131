"`with wandb.init(...) as run`, torch values, explicit steps, summary, define_metric, an alert, a figure."
import matplotlib
import torch
from torch import nn

import mlkit as wandb

matplotlib.use('agg')
import matplotlib.pyplot as plt

config = {'learning_rate': .1, 'batch_size': 16, 'epochs': 3}
with wandb.init(project='patterns', name='mlp', tags=['baseline'], notes='first', config=config, save_code=True) as run:
    config = run.config
    run.define_metric('epoch')
    run.define_metric('val/*', step_metric='epoch', summary='min')
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    opt = torch.optim.SGD(model.parameters(), lr=config.learning_rate)
    x = torch.randn(64, 4)
    y, step = x.sum(1, keepdim=True), 0
    for epoch in range(1, config.epochs + 1):
        for i in range(0, 64, config.batch_size):
            loss = nn.functional.mse_loss(model(x[i:i + config.batch_size]), y[i:i + config.batch_size])
            opt.zero_grad()
            loss.backward()
            opt.step()
            step += 1
            run.log({'train/loss': loss}, step=step)
        with torch.no_grad(): val = nn.functional.mse_loss(model(x), y)
        run.log({'epoch': epoch, 'val/loss': val}, step=step)
        run.summary['best_loss'] = min(run.summary.get('best_loss', float('inf')), val.item())
    plt.plot([1, 2, 3])
    wandb.log({'curve': plt})
    wandb.alert(title='Done', text='training ended', level='INFO')
