#!/usr/bin/env bash
# Starts one model in its own process, as real runs do.
cd "$(dirname "$0")" && exec "${PYTHON:-python3}" -m pipeline.model "$@"
