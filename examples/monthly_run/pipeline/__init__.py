"""A small monthly forecasting run, shaped like a real one: two ensembles of models, each model its own process."""
