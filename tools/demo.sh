#!/usr/bin/env bash
# The whole chain on a phantom hospital; prints the report's path last. Usage: demo.sh FOLDER
set -euo pipefail
out="$1"
patients="${DEMO_PATIENTS:-56}"
seed="${DEMO_SEED:-7}"
hospital="$out/hospital"
workspace="$out/workspace"
truth="$hospital/truth/truth.csv"
run() { echo "== lesiongraph $*"; lesiongraph "$@"; }

run phantom --patients "$patients" --seed "$seed" --out "$hospital"
run mine "$hospital/dicom" -w "$workspace"
run locate -w "$workspace"
run train -w "$workspace" --preset improved --seed "$seed"
run embed -w "$workspace"
run match -w "$workspace" --csv "$workspace/matches.csv"
for feature in initial location embedding; do
    run evaluate -w "$workspace" --feature "$feature" --split test --truth "$truth"
done
run report -w "$workspace" --truth "$truth"
