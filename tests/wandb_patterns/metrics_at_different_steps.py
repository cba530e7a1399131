"Values of one step from several places: `commit=False`, then a bare `log()` that writes them."
import mlkit as wandb

wandb.init(project='patterns', entity='team', anonymous='allow')
for i in range(20):
    wandb.log({'loss': 1/(i + 1), 'acc': i/20}, commit=False)
    if i % 5 == 0: wandb.log({'val_acc': i/20 - .05}, commit=False)
    wandb.log()
