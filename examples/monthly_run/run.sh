#!/usr/bin/env bash
# Starts one model in its own process, as real runs do. A killed model shows here as exit code 137, and nowhere else.
cd "$(dirname "$0")" || exit 2
"${PYTHON:-python3}" -m pipeline.model "$@"
