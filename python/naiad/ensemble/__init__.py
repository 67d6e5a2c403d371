"""Ensembles: their graphs, checked against the models of their steps, as plans that the core runs."""

from naiad.ensemble.compile import CompiledEnsemble, StepModel, compile_ensemble, step_models

__all__ = ["CompiledEnsemble", "StepModel", "compile_ensemble", "step_models"]
