#!/bin/bash
# All that needs a GPU, in one go: builds for the device at hand, tests, compares with the CPU, measures, and writes one
# report (Markdown) with every command, figure and verdict. A step that fails or takes too long ends nothing; the most
# important come first. Exit code: 0, or 1 when a step has failed.
#   tools/gpu_check.sh [--minutes N] [--report FILE] [--build FOLDER] [--no-build] [--model NAME_OR_FILE]... [--passkeys]
#                      [--dry-run]
#   --minutes    for everything together (default 30)
#   --report     default gpu_check.md
#   --build      default build/cuda
#   --no-build   take what is built there, also on another machine
#   --model      default: all that `lectern pull` has brought
#   --passkeys   also look for pass keys in up to a million tokens, which takes long
#   --dry-run    only print the steps
# shellcheck disable=SC2317  # judges are called by their name
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
usage() { sed -n '5,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

minutes=30 report=gpu_check.md build=build/cuda models=() must_build=1 passkeys=0 dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --no-build) must_build=0 ;;
    --passkeys) passkeys=1 ;;
    --dry-run) dry_run=1 ;;
    --minutes | --report | --build | --model)
      [ $# -ge 2 ] || usage
      case $1 in
        --minutes) minutes=$2 ;;
        --report) report=$2 ;;
        --build) build=$2 ;;
        --model) models+=("$2") ;;
      esac
      shift ;;
    *) usage ;;
  esac
  shift
done
[[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "gpu_check: --minutes takes a whole number, not '$minutes'" >&2; exit 2; }
if [ ${#models[@]} -eq 0 ]; then
  for file in "${XDG_CACHE_HOME:-$HOME/.cache}"/lectern/models/*.gguf; do
    [ -f "$file" ] && models+=("$file")
  done
fi

deadline=$((minutes * 60))
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-check-XXXXXX")
trap 'rm -rf "$work"' EXIT
: >"$work/table" && : >"$work/details"
failed=0

write_report() {
  {
    echo "# GPU check"
    echo
    echo "Commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown), limit $minutes minutes."
    echo
    echo "| step | verdict | seconds |"
    echo "|---|---|---|"
    cat "$work/table" "$work/details"
  } >"$report"
}

# step LIMIT_S TITLE JUDGE COMMAND...: JUDGE LOG prints why a command that ended well has failed all the same, or nothing.
step() {
  local limit=$1 title=$2 judge=$3 log=$work/log start=$SECONDS verdict why code=0
  shift 3
  if [ $dry_run = 1 ]; then
    echo "$title [at most $limit s]: $*"
    return
  fi
  local left=$((deadline - SECONDS)) late="failed: not done after $limit s"
  : >"$log"
  if ! command -v "$1" >/dev/null; then
    verdict="skipped: $1 is not there"
  elif [ $left -lt 5 ]; then
    verdict="skipped: no time left"
  else
    [ "$limit" -le $left ] || { limit=$left; late="stopped after $left s: no time left"; }
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 || code=$?
    case $code in
      0) why=$("$judge" "$log"); verdict=${why:+failed: $why} ;;
      124 | 137) verdict=$late ;;
      *) verdict="failed: exit code $code" ;;
    esac
    verdict=${verdict:-passed}
  fi
  case $verdict in failed*) failed=1 ;; esac
  echo "$title: $verdict ($((SECONDS - start)) s)"
  echo "| $title | $verdict | $((SECONDS - start)) |" >>"$work/table"
  {
    printf '\n## %s\n%s\n\n    %s\n\n' "$title" "$verdict" "$*"
    # Figures are at the end, and so is what went wrong.
    [ -s "$log" ] && { echo '```'; tail -n 60 "$log" | cut -c 1-2000; echo '```'; }
  } >>"$work/details"
  write_report
}

well() { :; }
# All values of a key in JSON, one a line.
values() { tr -d '\n' <"$2" | grep -o "\"$1\": *[-+.0-9e]*" | sed 's/.*: *//'; }
ran_on_device() { grep -q "SKIPPED: " "$1" && grep -m 1 "SKIPPED: " "$1"; }
# judge_divergence MOST LOG: of the next token's distribution from that on the CPU, in nats.
judge_divergence() {
  values mean_kl_divergence "$2" | awk -v most="$1" \
    '{ n++; if (!($1 < most)) print "KL divergence of " $1 ", more than " most } END { if (n != 2) print "no figures" }'
}
agrees() { judge_divergence 0.01 "$1"; }
agrees_roughly() { judge_divergence 0.1 "$1"; }
all_found() { values rate "$1" | awk 'NR == 1 && $1 < 1 { print "found only " 100 * $1 " %" }'; }

lectern=$build/lectern unit_cuda=$build/tests/unit/cuda/unit_cuda bench_cuda=$build/tests/bench/bench_cuda
text=tests/golden/reference/mixed_en_zh.txt
cat docs/*.md ./*.md >"$work/long"  # some 45,000 tokens
# 9.0: 90a, with what only Hopper has.
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
[ "$capability" = 90 ] && capability=90a

step 30 "The device" well nvidia-smi
if [ $must_build = 1 ]; then
  step 120 "Configuration" well cmake --preset cuda -B "$build" -DLECTERN_BENCHMARKS=ON \
    "-DCMAKE_CUDA_ARCHITECTURES=${capability:-native}"
  step 1200 "Build" well cmake --build "$build" --target lectern unit_cuda bench_cuda
fi
step 60 "lectern doctor" well "$lectern" doctor
step 300 "Tests of the label cuda" ran_on_device "$unit_cuda"
step 60 "CPU and GPU agree: tiny model" agrees "$lectern" eval devices --device cuda --text $text --prompt 200 --decode 16 \
  --model tests/golden/qwen2_tied/model.gguf --json
for model in ${models[@]+"${models[@]}"}; do
  name=$(basename "$model" .gguf)
  step 240 "CPU and GPU agree: $name" agrees "$lectern" eval devices --device cuda --text $text --model "$model" --json
  step 120 "Speed: $name" well "$lectern" bench engine --device cuda --model "$model" --prefill 512 --decode 128 --json
  step 120 "Speed, long prompt: $name" well "$lectern" bench engine --device cuda --model "$model" --prefill 32000 \
    --decode 128 --json
done
step 300 "compute-sanitizer memcheck" ran_on_device compute-sanitizer --tool memcheck --error-exitcode 99 "$unit_cuda"
step 300 "Kernels" ran_on_device "$bench_cuda"
for model in ${models[@]+"${models[@]}"}; do
  name=$(basename "$model" .gguf)
  step 240 "CPU and GPU agree in 8-bit floats: $name" agrees_roughly "$lectern" eval devices --device cuda --fp8 --text $text \
    --model "$model" --json
  step 120 "Speed in 8-bit floats: $name" well "$lectern" bench engine --device cuda --fp8 --model "$model" --prefill 32000 \
    --decode 128 --json
  step 180 "Perplexity: $name" well "$lectern" eval perplexity --device cuda --text $text --model "$model" --json
  step 120 "Sparse attention by page means: $name" well "$lectern" eval attention-recall --device cuda --text "$work/long" \
    --tokens 32000 --above 4096 --thresholds 0.02,0.1,0.3 --model "$model" --json
  step 120 "Sparse attention by columns and diagonals: $name" well "$lectern" eval attention-recall --device cuda \
    --text "$work/long" --tokens 32000 --above 4096 --refine "$work/budgets.json" --rounds 3 --model "$model" --json
  step 120 "Several clients: $name" well "$lectern" bench engine --device cuda --model "$model" --clients 1,4,16,64 --json
done
step 600 "compute-sanitizer racecheck" ran_on_device compute-sanitizer --tool racecheck --error-exitcode 99 "$unit_cuda"
if [ $passkeys = 1 ] && [ ${#models[@]} -gt 0 ]; then
  for tokens in 131072 262144 524288 1000000; do
    step 900 "Pass keys in $tokens tokens" all_found "$lectern" eval needle --device cuda --extend dca --model "${models[0]}" \
      --tokens $tokens --depths 11 --level whole --json
  done
fi
[ $dry_run = 1 ] || echo "report: $report"
exit $failed
