"""Timeseries and Indexes tables: declared as classes beside the models, or used by their names."""
