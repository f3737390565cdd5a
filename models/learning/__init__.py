"""How an encoder learns: batches, views, losses, optimizer, schedule, checkpoints."""
