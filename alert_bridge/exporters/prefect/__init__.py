"""Prefect: pipelines that are not Prefect flows are mirrored as such; those that are get annotated."""
