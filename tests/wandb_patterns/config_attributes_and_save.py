"Settings as attributes of `wandb.config`, NumPy values, a file saved at the end."
import numpy as np

import mlkit as wandb

wandb.login()
wandb.init(project='patterns')
wandb.config.lr = 1e-3
wandb.config.epochs = 2
rng = np.random.default_rng(0)
x = rng.normal(size=(50, 3))
y, w = x @ np.array([1., -2., .5]), np.zeros(3)
for _ in range(wandb.config.epochs):
    for xi, yi in zip(x, y, strict=True):
        err = yi - np.dot(w, xi)
        w += wandb.config.lr*np.sign(err)*xi
        wandb.log({'Loss': np.abs(err)})
np.save('weights', w)
wandb.save('weights.npy')
